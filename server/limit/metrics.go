package limit

import "github.com/prometheus/client_golang/prometheus"

// collector tells how much room is taken. By class: viewer, agent, operator, admin.
type collector struct{ l *Limiter }

func bodyDescription() *prometheus.Desc {
	return prometheus.NewDesc("isthmus_request_bodies_bytes", "What the bodies of large requests under way have announced, together.", nil, nil)
}

func descriptions() (working, line, waiting *prometheus.Desc) {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("isthmus_"+name, help, []string{"class"}, nil)
	}
	return desc("requests_working", "Calls that have a place to work (--max-requests), by class."),
		desc("requests_in_line", "Calls that want a place to work, by class."),
		desc("requests_waiting", "Calls that wait for a change (--max-waits), by class.")
}

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	working, line, waiting := descriptions()
	out <- working
	out <- line
	out <- waiting
	out <- bodyDescription()
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	workingDesc, lineDesc, waitingDesc := descriptions()
	c.l.mu.Lock()
	at, waits, body := c.l.working, c.l.waiting, c.l.body
	var line [classes]int
	for i, queue := range c.l.line {
		line[i] = queue.Len()
	}
	c.l.mu.Unlock()
	out <- prometheus.MustNewConstMetric(bodyDescription(), prometheus.GaugeValue, float64(body))
	for i, name := range [classes]string{viewers: "viewer", agents: "agent", operators: "operator", admins: "admin"} {
		out <- prometheus.MustNewConstMetric(workingDesc, prometheus.GaugeValue, float64(at[i]), name)
		out <- prometheus.MustNewConstMetric(lineDesc, prometheus.GaugeValue, float64(line[i]), name)
		out <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(waits[i]), name)
	}
}
