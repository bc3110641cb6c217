package config

// Reconcile is the settings of `paylink reconcile`.
type Reconcile struct {
	Reading `embed:""`
	Asking  `embed:""`

	Offline bool   `name:"offline" group:"Gateway and merchants" help:"Leave the gateway out: compare the topics with each other only. No merchant has to be configured."`
	All     bool   `name:"all" group:"Output" help:"Tell of every intent, also of what matched and of what is waiting."`
	HTML    string `name:"html" placeholder:"FILE" group:"Output" help:"Write the report as one page, too: tables and charts in one file that needs nothing else."`
	WorkDir string `name:"work-dir" placeholder:"DIR" group:"Output" help:"Directory that keeps what the gateway has answered, and which range it is about: a run that was interrupted goes on there, and asks nothing twice. One directory is for one range. Default: a new one in the directory for temporary files, which is named if the run is interrupted, and else deleted."`
}

// Prepare is as that of Run.
func (r *Reconcile) Prepare() error {
	if err := join(r.Reading.prepare(), r.Asking.prepare()); err != nil {
		return err
	}
	if !r.Offline && len(r.Merchants) == 0 {
		return problem("PAYLINK_MERCHANT_SECRET", "is not set, nor is PAYLINK_MERCHANTS_FILE; the gateway is asked in the merchant's name. Give it, or leave the gateway out with --offline")
	}
	return nil
}
