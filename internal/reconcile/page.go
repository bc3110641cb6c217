package reconcile

// A Page is the report as HTML.
type Page struct{}

// NewPage begins a page.
func NewPage(file string) (*Page, error) { return &Page{}, nil }

// Add adds a line.
func (p *Page) Add(d Difference) {}

// Write writes it.
func (p *Page) Write(s *Summary, r Range) error { return nil }

// Discard leaves nothing half written.
func (p *Page) Discard() {}
