package service

import (
	"context"
	"fmt"
	"strings"

	"paylink/internal/config"
	"paylink/internal/finding"
	schemaregistry "paylink/internal/registry"
	"paylink/schemas"
)

// checkRegistry tells whether the schema registry answers, and has what outcomes are
// to name. Nothing is registered.
func checkRegistry(ctx context.Context, cfg config.Run, deps Deps) []finding.Finding {
	if cfg.Events.RegistryURL == "" {
		return nil
	}
	const about, mend = "schema registry", "check address, network and login (PAYLINK_SCHEMA_REGISTRY_…)"
	reg, err := Registry(cfg.Events.Registry, false, deps.RegistryDial)
	if err != nil {
		return []finding.Finding{{Level: finding.Fail, About: about, What: err.Error(), Mend: mend}}
	}
	defer reg.Close()
	format, naming := FormatNamed(cfg.Events.Format), schemas.Naming(cfg.Events.Naming)
	if format == 0 { // outcomes name no schema; intents may
		asked := schemaregistry.Subjects(schemas.Avro, naming, cfg.Topics.Intents, cfg.Topics.Outcomes)[0]
		if _, err := reg.State(ctx, asked); err != nil {
			return []finding.Finding{{Level: finding.Fail, About: about, What: err.Error(), Mend: mend}}
		}
		return []finding.Finding{{Level: finding.OK, About: about, What: "answers; outcomes name no schema"}}
	}
	var has, lacks []string
	for _, s := range schemaregistry.Subjects(format, naming, cfg.Topics.Intents, cfg.Topics.Outcomes)[1:] {
		st, err := reg.State(ctx, s)
		switch {
		case err != nil:
			return []finding.Finding{{Level: finding.Fail, About: about, What: err.Error(), Mend: mend}}
		case st.ID == 0:
			lacks = append(lacks, s.Name)
		default:
			has = append(has, s.Name)
		}
	}
	switch what := fmt.Sprintf("lacks our %s schema of %s", format, strings.Join(lacks, ", ")); {
	case len(lacks) == 0:
		return []finding.Finding{{Level: finding.OK, About: about, What: fmt.Sprintf("answers, and has our %s schema of %s", format, strings.Join(has, ", "))}}
	case cfg.Events.Register:
		return []finding.Finding{{Level: finding.Warn, About: about, What: what + ": the service registers it when it starts", Mend: "run \"paylink schemas register\" to see now whether it is taken"}}
	default:
		return []finding.Finding{{Level: finding.Fail, About: about, What: what + ": the service does not start", Mend: "run \"paylink schemas register\""}}
	}
}
