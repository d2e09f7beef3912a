package fastgroth

// report turns shares of parts of a stage into per mille, and passes on only what rises.
type report struct {
	progress Progress
	name     string
	last     int
}

func newReport(progress Progress) *report { return &report{progress: progress} }

func (r *report) stage(name string) {
	r.name, r.last = name, 0
	r.progress(name, 0)
}

// share gives what a part that reaches from one share of the stage to another reports to.
func (r *report) share(from, to float64) func(float64) {
	return func(part float64) {
		if done := int(1000 * (from + part*(to-from))); done > r.last {
			r.last = done
			r.progress(r.name, done)
		}
	}
}
