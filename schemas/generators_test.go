package schemas_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"paylink/schemas"
	"paylink/schemas/contract"
)

// The generators of others, each by the name that a test skips with.
const (
	modelina  = "AsyncAPI Modelina is not installed: npm install --prefix FOLDER @asyncapi/modelina, and set NODE_CLIENT to FOLDER"
	tsc       = "TypeScript is not installed: npm install --prefix FOLDER typescript, and set NODE_CLIENT to FOLDER"
	buf       = "buf is not installed: npm install --prefix FOLDER @bufbuild/buf, and set NODE_CLIENT to FOLDER; or have buf in PATH"
	datamodel = "datamodel-code-generator is not installed for the Python that PYTHON names: pip install datamodel-code-generator 'pydantic[email]'"
)

// modelNames are the models that generators make of the AsyncAPI document. A
// name here that nobody would give is a mistake of the document.
const modelNames = "DeadLetterValue FailureUrlMethod Language Outcomes PaymentCreated PaymentFailed PaymentIntent Reason RequestMethod Source SuccessUrlMethod Violation"

// onDisk writes files of the contract into a folder.
func onDisk(t *testing.T, dir string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		names, err := fs.Glob(schemas.FS, pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(names), err)
		}
		for _, name := range names {
			text, err := schemas.FS.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, filepath.FromSlash(name)), text)
		}
	}
}

func writeFile(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// run runs a command in a folder and returns what it prints.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// nodeModules is the folder of a package of Node's; without it the test skips.
func nodeModules(t *testing.T, name, skip string) string {
	t.Helper()
	dir := filepath.Join(os.Getenv("NODE_CLIENT"), "node_modules")
	if _, err := exec.LookPath("node"); err != nil || os.Getenv("NODE_CLIENT") == "" {
		t.Skip(skip)
	}
	if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
		t.Skip(skip)
	}
	return dir
}

// TestModelinaMakesModels lets AsyncAPI Modelina make models of the document,
// compiles them, and reads and writes the examples with them.
func TestModelinaMakesModels(t *testing.T) {
	modules, dir := nodeModules(t, "@asyncapi/modelina", modelina), t.TempDir()
	onDisk(t, dir, "asyncapi.yaml", "examples/*/valid_all_fields.json")
	script, err := filepath.Abs("testdata/models.cjs")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.TrimSpace(run(t, dir, []string{"NODE_PATH=" + modules}, "node", script, "asyncapi.yaml", dir))
	if names != modelNames {
		t.Errorf("Modelina names its models %s, want %s", names, modelNames)
	}
	t.Run("Go", func(t *testing.T) {
		writeFile(t, filepath.Join(dir, "go", "go.mod"), []byte("module models\n\ngo 1.24\n"))
		writeFile(t, filepath.Join(dir, "go", "read", "main.go"), []byte(goReader))
		out := run(t, filepath.Join(dir, "go"), []string{"GOFLAGS=-mod=mod", "GOWORK=off"}, "go", "run", "./read", filepath.Join(dir, "examples"))
		read := strings.SplitN(out, "\n", 2)
		if len(read) != 2 || read[0] != "kz https://customer.freedompay.kz/pay.html?customer=1 refused must be between 0.01 and 99999999" {
			t.Fatalf("the models read %q", out)
		}
		judgeWritten(t, []byte(read[1]))
	})
	t.Run("TypeScript", func(t *testing.T) {
		modules := nodeModules(t, "typescript", tsc)
		writeFile(t, filepath.Join(dir, "ts", "read.ts"), []byte(typed(t)))
		run(t, filepath.Join(dir, "ts"), nil, "node", filepath.Join(modules, "typescript", "bin", "tsc"), "--strict", "--noEmit", "--skipLibCheck", "--types", "", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "read.ts")
	})
}

// judgeWritten judges an intent that a model wrote, by the strict schema and as
// the service does.
func judgeWritten(t *testing.T, value []byte) {
	t.Helper()
	if !goodBySchema(t, strictSchema(t), value) {
		t.Errorf("the strict schema does not take what the model wrote: %s", value)
	}
	if d, good := goodByDecoder(t, value); !good {
		t.Errorf("the service does not take what the model wrote: %v in %s", d.Violations, value)
	}
}

// goReader reads an example of each record with Modelina's models, and writes
// the intent again.
const goReader = `package main

import (
	"encoding/json"
	"fmt"
	"os"

	"models"
)

func read(record string, v any) {
	text, err := os.ReadFile(os.Args[1] + "/" + record + "/valid_all_fields.json")
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, record, err)
		os.Exit(1)
	}
}

func main() {
	var intent models.PaymentIntent
	var created models.PaymentCreated
	var failed models.PaymentFailed
	read("payment-intent-strict", &intent)
	read("payment-created", &created)
	read("payment-failed", &failed)
	language, _ := json.Marshal(intent.Language)
	reason, _ := json.Marshal(failed.Reason)
	fmt.Println(string(language[1:len(language)-1]), created.RedirectUrl, string(reason[1:len(reason)-1]), failed.Violations[0].Rule)
	if err := json.NewEncoder(os.Stdout).Encode(intent); err != nil {
		os.Exit(1)
	}
}
`

// typed are the examples as values of Modelina's types, for the compiler to judge.
func typed(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for record, model := range map[string]string{"payment-intent-strict": "PaymentIntent", "payment-created": "PaymentCreated", "payment-failed": "PaymentFailed"} {
		b.WriteString("import type {" + model + "} from './" + model + "';\n")
		b.WriteString("export const a" + model + ": " + model + " = " + string(example(t, record+"/valid_all_fields")) + ";\n")
	}
	b.WriteString("// @ts-expect-error a word that is none\nexport const wrong: PaymentIntent['language'] = 'de';\n")
	return b.String()
}

// TestDatamodelCodeGeneratorMakesModels lets datamodel-code-generator make
// models of Python, and reads good and bad examples with them.
func TestDatamodelCodeGeneratorMakesModels(t *testing.T) {
	python := os.Getenv("PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.CommandContext(t.Context(), python, "-c", "import datamodel_code_generator, pydantic, email_validator").Run(); err != nil {
		t.Skip(datamodel)
	}
	dir := t.TempDir()
	onDisk(t, dir, schemas.StrictPath, "json/payment-outcome.schema.json", "examples/payment-intent-strict/*.json", "examples/payment-created/*.json", "examples/payment-failed/*.json")
	for input, output := range map[string]string{schemas.StrictPath: "intents.py", "json/payment-outcome.schema.json": "outcomes.py"} {
		run(t, dir, nil, python, "-W", "ignore", "-m", "datamodel_code_generator", "--input", input, "--input-file-type", "jsonschema", "--output-model-type", "pydantic_v2.BaseModel", "--output", output)
	}
	writeFile(t, filepath.Join(dir, "read.py"), []byte(pythonReader))
	writeFile(t, filepath.Join(dir, "bad.json"), []byte(`{"intent_id":"a","amount":"1","description":"d","language":"de"}`))
	out := run(t, dir, nil, python, "read.py")
	names, written, _ := strings.Cut(out, "\n")
	if want := "FailureUrlMethod Language PaymentCreated PaymentFailed PaymentIntent PaymentOutcome Reason RequestMethod Source SuccessUrlMethod Violation"; names != want {
		t.Errorf("datamodel-code-generator names its models %s, want %s", names, want)
	}
	judgeWritten(t, []byte(written))
}

const pythonReader = `
import glob, inspect, os, pydantic
import intents, outcomes

def classes(module):
    return {n for n, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__ and '[' not in n}

def good(model, file):
    with open(file) as f:
        text = f.read()
    try:
        model.model_validate_json(text)
        return True
    except pydantic.ValidationError:
        return False

models = {'payment-intent-strict': intents.PaymentIntent, 'payment-created': outcomes.PaymentOutcome, 'payment-failed': outcomes.PaymentOutcome}
for record, model in models.items():
    files = glob.glob(f'examples/{record}/*.json')
    assert files, record
    for file in files:
        assert good(model, file) == os.path.basename(file).startswith('valid_'), file
assert not good(intents.PaymentIntent, 'bad.json')

print(*sorted(classes(intents) | classes(outcomes)))
with open('examples/payment-intent-strict/valid_all_fields.json') as f:
    print(intents.PaymentIntent.model_validate_json(f.read()).model_dump_json(exclude_none=True))
`

// TestProtocGenGoMakesModels: what protoc-gen-go made, contract/*.pb.go, reads
// the example of an intent in JSON, and what it writes the service takes.
func TestProtocGenGoMakesModels(t *testing.T) {
	var in contract.PaymentIntent
	if err := protojson.Unmarshal(example(t, strictExamples+"valid_all_fields"), &in); err != nil {
		t.Fatal(err)
	}
	if in.GetLifetime() != 3600 || in.GetMetadata()["cart"] != "42" || string(in.ProtoReflect().Descriptor().FullName()) != schemas.Intent.FullName() {
		t.Errorf("the model reads %v", &in)
	}
	value, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(&in)
	if err != nil {
		t.Fatal(err)
	}
	judgeWritten(t, value)
	for _, record := range []schemas.Record{schemas.Created, schemas.Failed} {
		var out contract.PaymentOutcome
		if err := protojson.Unmarshal(example(t, record.String()+"/valid_all_fields"), &out); err != nil || out.GetType() != record.String() {
			t.Errorf("%s: the model reads type %q, %v", record, out.GetType(), err)
		}
	}
}

// TestBufHasNothingToSay runs buf over the Protobuf files: its standard rules
// and those of comments, its format, and what v1 had on the wire.
func TestBufHasNothingToSay(t *testing.T) {
	file := filepath.Join(os.Getenv("NODE_CLIENT"), "node_modules", ".bin", "buf")
	if _, err := os.Stat(file); err != nil || os.Getenv("NODE_CLIENT") == "" {
		if file, err = exec.LookPath("buf"); err != nil {
			t.Skip(buf)
		}
	}
	dir := t.TempDir()
	onDisk(t, dir, "protobuf/buf.yaml", "protobuf/paylink/v1/*.proto", "released/v1/protobuf/*.proto")
	for _, args := range [][]string{{"lint"}, {"format", "--diff", "--exit-code"}, {"breaking", "--against", "../released/v1/protobuf"}} {
		run(t, filepath.Join(dir, "protobuf"), []string{"HOME=" + dir}, file, args...)
	}
	// A mistake that it has to find, so that its silence says something.
	name := filepath.Join(dir, "protobuf", "paylink", "v1", "payment_intent.proto")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, name, bytes.Replace(text, []byte("string order_id = 3"), []byte("string orderId = 3"), 1))
	cmd := exec.CommandContext(t.Context(), file, "lint")
	cmd.Dir = filepath.Join(dir, "protobuf")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "lower_snake_case") {
		t.Errorf("buf lint says %q of a field called orderId", out)
	}
}
