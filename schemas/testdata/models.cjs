// Makes models of an AsyncAPI document by AsyncAPI Modelina, as its guide says:
// node models.cjs DOCUMENT FOLDER. Writes Go to FOLDER/go and TypeScript to
// FOLDER/ts, and prints the names of the models.
const fs = require('fs');
const path = require('path');
const { GoFileGenerator, GO_COMMON_PRESET, TypeScriptFileGenerator } = require('@asyncapi/modelina');

async function main([document, folder]) {
  const text = fs.readFileSync(document, 'utf8');
  const go = new GoFileGenerator({ presets: [{ preset: GO_COMMON_PRESET, options: { addJsonTag: true } }] });
  await go.generateToFiles(text, path.join(folder, 'go'), { packageName: 'models' });
  const ts = new TypeScriptFileGenerator({ modelType: 'interface', enumType: 'union', rawPropertyNames: true, mapType: 'record' });
  const models = await ts.generateToFiles(text, path.join(folder, 'ts'), { exportType: 'named' });
  console.log(models.map((m) => m.modelName).sort().join(' '));
}

main(process.argv.slice(2)).catch((err) => { console.error(err); process.exit(1); });
