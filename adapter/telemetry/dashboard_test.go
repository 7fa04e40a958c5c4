package telemetry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/eventstore"
)

// scraped returns the labels of all metrics of this package, by the names that the metrics have in
// Prometheus.
func scraped(t *testing.T) map[string]map[string]bool {
	t.Helper()
	registry := prometheus.NewRegistry()
	e, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		t.Fatal(err)
	}
	var families []*dto.MetricFamily
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, telemetry.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(e))))
		walk(l, func(_ string, operation func(context.Context)) { operation(t.Context()) })
		o := must(telemetry.NewObserver(l.options...))
		for _, name := range []string{eventstore.OpOpen, eventstore.OpAggregateUpdate} {
			operation := eventstore.Operation{Name: name}
			o.End(o.Begin(t.Context(), operation), operation, eventstore.OperationResult{Waited: time.Second, Attempts: 2})
		}
		following(l)
		now := must(telemetry.NewObserver(l.options...)).(eventstore.FeedObserver)
		for _, report := range reports {
			now.ObserveFeed(t.Context(), report)
		}
		if families, err = registry.Gather(); err != nil { // while the reports are fresh
			t.Fatal(err)
		}
	})
	metrics := map[string]map[string]bool{}
	for _, family := range families {
		if family.GetName() == "target_info" {
			continue
		}
		labels := map[string]bool{"job": true} // added by the scrape
		for _, metric := range family.Metric {
			for _, label := range metric.Label {
				labels[label.GetName()] = true
			}
		}
		series := []string{family.GetName()}
		if family.GetType().String() == "HISTOGRAM" {
			series = []string{family.GetName() + "_bucket", family.GetName() + "_count", family.GetName() + "_sum"}
		}
		for _, name := range series {
			metrics[name] = labels
		}
	}
	return metrics
}

// dashboard contains the parts of a Grafana dashboard that are checked.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Time          struct{ From, To string }
	Templating    struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage
			Datasource struct{ UID string }
		}
	}
	Panels []struct {
		ID          int
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		Datasource  struct{ Type, UID string }
		FieldConfig struct{ Defaults struct{ Unit string } }
		Targets     []struct {
			RefID, Expr, LegendFormat string
			Datasource                struct{ Type, UID string }
		}
	}
}

func readDashboard(t *testing.T) (dashboard, string) {
	t.Helper()
	file, err := os.ReadFile("../../deploy/grafana/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(file, &d); err != nil {
		t.Fatal(err)
	}
	return d, string(file)
}

var (
	selector = regexp.MustCompile(`([a-z][a-z0-9_]*)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-z][a-z0-9_]*)\s*(?:=~|!=|=|!~)`)
	grouping = regexp.MustCompile(`by \(([^)]*)\)`)
	variable = regexp.MustCompile(`\$\{?([A-Za-z_]+)\}?`)
)

func TestTheDashboardAsksForWhatIsThereAndForAllOfIt(t *testing.T) {
	t.Parallel()
	metrics, asked := scraped(t), map[string]bool{}
	d, _ := readDashboard(t)
	type query struct{ where, text, legend string }
	var queries []query
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, query{panel.Title + " " + target.RefID, target.Expr, target.LegendFormat})
		}
	}
	for _, variable := range d.Templating.List {
		if variable.Type == "query" {
			queries = append(queries, query{"$" + variable.Name, string(variable.Query), ""})
		}
	}
	for _, q := range queries {
		text := regexp.MustCompile(`label_values\(([a-z_]+), ([a-z_]+)\)`).ReplaceAllString(q.text, "by ($2) $1{}")
		found := selector.FindAllStringSubmatch(text, -1)
		if len(found) == 0 {
			t.Errorf("%s queries nothing: %s", q.where, q.text)
		}
		for _, series := range found {
			name := series[1]
			asked[strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")] = true
			labels, ok := metrics[name]
			if !ok {
				t.Errorf("%s queries %s, which no metric has", q.where, name)
				continue
			}
			used := []string{}
			for _, m := range matcher.FindAllStringSubmatch(series[2], -1) {
				used = append(used, m[1])
			}
			for _, by := range grouping.FindAllStringSubmatch(text, -1) {
				used = append(used, strings.Split(by[1], ", ")...)
			}
			for _, label := range used {
				if !labels[label] && !(label == "le" && strings.HasSuffix(name, "_bucket")) {
					t.Errorf("%s queries the label %s, which %s does not have", q.where, label, name)
				}
			}
			for _, shown := range regexp.MustCompile(`\{\{(.*?)\}\}`).FindAllStringSubmatch(q.legend, -1) {
				if !slices.Contains(used, shown[1]) {
					t.Errorf("%s shows the label %s, but does not group by it", q.where, shown[1])
				}
			}
		}
	}
	for name := range metrics {
		name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
		if !asked[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

func TestTheDashboardHasWhatGrafanaNeeds(t *testing.T) {
	t.Parallel()
	d, text := readDashboard(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 39 || d.Time.From == "" || d.Time.To == "" || len(d.Panels) == 0 {
		t.Errorf("it lacks a part: %s, %s, %d, %+v, %d panels", d.UID, d.Title, d.SchemaVersion, d.Time, len(d.Panels))
	}
	variables := []string{"__rate_interval", "__range", "__all"}
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
		if v.Type == "datasource" && string(v.Query) != `"prometheus"` || v.Type == "query" && v.Datasource.UID != "${datasource}" {
			t.Errorf("the variable %s is not of Prometheus", v.Name)
		}
	}
	for _, used := range variable.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(variables, used[1]) {
			t.Errorf("there is no variable %s", used[1])
		}
	}
	ids := map[int]string{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if other, ok := ids[p.ID]; ok || p.ID < 1 {
			t.Errorf("%q has the id %d, as %q", p.Title, p.ID, other)
		}
		ids[p.ID] = p.Title
		if g := p.GridPos; g.X < 0 || g.Y < 0 || g.W < 1 || g.H < 1 || g.X+g.W > 24 {
			t.Errorf("%q is outside the grid: %+v", p.Title, g)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%q lies on %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q lacks title, unit or queries", p.ID, p.Title)
		}
		sources := []string{fmt.Sprint(p.Datasource)}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			sources = append(sources, fmt.Sprint(target.Datasource))
			if target.RefID == "" || refs[target.RefID] {
				t.Errorf("%q has two queries %q", p.Title, target.RefID)
			}
			refs[target.RefID] = true
		}
		for _, source := range sources {
			if source != "{prometheus ${datasource}}" {
				t.Errorf("%q has the data source %s", p.Title, source)
			}
		}
	}
}
