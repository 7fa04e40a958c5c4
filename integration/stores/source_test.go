package stores

import (
	"cmp"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/internal/statekind"
)

// component is a state component of Dapr, as read from its source.
type component struct {
	kind     string   // "state.redis"
	versions []string // "v1"
	features []string // "ETAG", sorted
	most     string   // operations in one transaction; empty if the component does not say
}

func (c component) can(feature string) bool { return slices.Contains(c.features, feature) }

const contrib = "github.com/dapr/components-contrib"

// components reads from Dapr's source which state components the released sidecar has, and what
// each declares. Compiling all of them would take the client libraries of thirty databases.
func components(t *testing.T) []component {
	t.Helper()
	all := map[string]component{}
	for _, name := range must(filepath.Glob(filepath.Join(moduleDir(t, "github.com/dapr/dapr"), "cmd", "daprd", "components", "state_*.go")))(t) {
		for _, r := range registrations(t, name) {
			c := all[r.kind]
			c.kind = r.kind
			c.versions = append(c.versions, r.version)
			slices.Sort(c.versions)
			pkg := declaring(t, r.pkg)
			c.features = slices.Compact(slices.Sorted(slices.Values(append(c.features, features(pkg)...))))
			c.most = cmp.Or(c.most, multiMaxSize(pkg))
			all[r.kind] = c
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b component) int { return strings.Compare(a.kind, b.kind) })
}

// registration is one version of a component, under one of its names.
type registration struct{ kind, version, pkg string }

// registrations returns the registrations in one file of the sidecar.
func registrations(t *testing.T, name string) (all []registration) {
	t.Helper()
	file := must(parser.ParseFile(token.NewFileSet(), name, nil, 0))(t)
	imports := map[string]string{}
	for _, i := range file.Imports {
		path := must(strconv.Unquote(i.Path.Value))(t)
		alias := path[strings.LastIndex(path, "/")+1:]
		if i.Name != nil {
			alias = i.Name.Name
		}
		imports[alias] = path
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch selected(call.Fun) {
		case "RegisterComponent":
			for _, kind := range call.Args[1:] {
				all = append(all, registration{"state." + text(t, kind), "v1", imports[qualifier(call.Args[0])]})
			}
		case "RegisterComponentWithVersions":
			ast.Inspect(call.Args[1], func(n ast.Node) bool {
				literal, ok := n.(*ast.CompositeLit)
				if !ok {
					return true
				}
				r := registration{kind: "state." + text(t, call.Args[0])}
				for _, e := range literal.Elts {
					switch field, ok := e.(*ast.KeyValueExpr); {
					case !ok:
					case field.Key.(*ast.Ident).Name == "Version":
						r.version = text(t, field.Value)
					case field.Key.(*ast.Ident).Name == "Constructor":
						r.pkg = imports[qualifier(field.Value)]
					}
				}
				if r.version != "" {
					all = append(all, r)
				}
				return true
			})
		}
		return true
	})
	if len(all) == 0 {
		t.Errorf("the test finds no registration in %s", name)
	}
	for _, r := range all {
		if !strings.HasPrefix(r.pkg, contrib+"/") {
			t.Errorf("%s: %+v is not of %s", name, r, contrib)
		}
	}
	return all
}

// declaring returns the files of the package that declares a component's features. It is the
// component's own package, or one that the component embeds.
func declaring(t *testing.T, pkg string) []*ast.File {
	t.Helper()
	files := parse(t, pkg)
	if method(files, "Features") != nil {
		return files
	}
	for _, file := range files {
		for _, i := range file.Imports {
			path := must(strconv.Unquote(i.Path.Value))(t)
			if !strings.HasPrefix(path, contrib+"/state/") && !strings.HasPrefix(path, contrib+"/common/component/") {
				continue
			}
			if made := parse(t, path); method(made, "Features") != nil {
				return made
			}
		}
	}
	t.Errorf("the test finds no features in %s", pkg)
	return nil
}

func parse(t *testing.T, pkg string) (files []*ast.File) {
	t.Helper()
	dir := filepath.Join(moduleDir(t, contrib), filepath.FromSlash(strings.TrimPrefix(pkg, contrib+"/")))
	for _, name := range must(filepath.Glob(filepath.Join(dir, "*.go")))(t) {
		if !strings.HasSuffix(name, "_test.go") {
			files = append(files, must(parser.ParseFile(token.NewFileSet(), name, nil, 0))(t))
		}
	}
	return files
}

func method(files []*ast.File, name string) *ast.FuncDecl {
	for _, file := range files {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == name && f.Body != nil {
				return f
			}
		}
	}
	return nil
}

// features returns the features that a package names. Some of them are only declared with certain
// settings.
func features(files []*ast.File) (all []string) {
	names := map[string]string{"FeatureETag": "ETAG", "FeatureTransactional": "TRANSACTIONAL", "FeatureTTL": "TTL"}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			e, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if _, asked := e.X.(*ast.SelectorExpr); asked { // state.FeatureETag.IsPresent asks for a feature
				return false
			}
			if feature, ok := names[e.Sel.Name]; ok && qualifier(e) == "state" {
				all = append(all, feature)
			}
			return true
		})
	}
	return all
}

// multiMaxSize returns what the method MultiMaxSize returns, if it is a number.
func multiMaxSize(files []*ast.File) string {
	m := method(files, "MultiMaxSize")
	if m == nil {
		return ""
	}
	if r, ok := m.Body.List[0].(*ast.ReturnStmt); ok {
		if number, ok := r.Results[0].(*ast.BasicLit); ok {
			return number.Value
		}
	}
	return "settable"
}

func selected(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		return s.Sel.Name
	}
	return ""
}

// qualifier returns the package in pkg.Name.
func qualifier(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return x.Name
		}
	}
	return ""
}

func text(t *testing.T, e ast.Expr) string {
	t.Helper()
	literal, ok := e.(*ast.BasicLit)
	if !ok {
		t.Fatalf("%T is not a string", e)
	}
	return must(strconv.Unquote(literal.Value))(t)
}

// moduleDir returns the folder with the source of a module that this one depends on.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	return listModule(t, "{{.Dir}}", module)
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// metadataOnly is a client of a sidecar that has one component, and answers only requests for
// metadata.
type metadataOnly struct {
	dapr.Client
	component component
}

func (c metadataOnly) GetMetadata(context.Context) (*dapr.GetMetadataResponse, error) {
	return &dapr.GetMetadataResponse{ID: "app", RegisteredComponents: []*dapr.MetadataRegisteredComponents{
		{Name: "statestore", Type: c.component.kind, Capabilities: c.component.features}}}, nil
}

// decision returns how the adapter uses a component with these features, or why it refuses it.
func decision(t *testing.T, c component) (way, why string) {
	t.Helper()
	s, err := sidecar.NewState(t.Context(), metadataOnly{component: c}, "statestore", sidecar.WithoutProbe())
	switch {
	case err != nil:
		_, why, _ = strings.Cut(err.Error(), "("+c.kind+") ")
		why, _, _ = strings.Cut(why, ". Choose")
		return "refused", why
	case s.Capabilities().Atomic:
		return "one transaction", ""
	default:
		return "the head alone", ""
	}
}

func TestOneTransactionIsForKindsThatWereRunAndNoStoreWithoutETagsIsTaken(t *testing.T) {
	t.Parallel()
	all := components(t)
	if len(all) < 30 {
		t.Errorf("found only %d kinds of store in Dapr's source", len(all))
	}
	for _, c := range all {
		way, _ := decision(t, c)
		if way == "one transaction" && !wasRun(c) {
			t.Errorf("%s commits in one transaction, but was not run", c.kind)
		}
		if !c.can("ETAG") && way != "refused" {
			t.Errorf("%s has no ETags, but the adapter accepts it", c.kind)
		}
		if why := statekind.Unfit(c.kind); (why != "") != (way == "refused") || (why == statekind.NoETags) == c.can("ETAG") {
			t.Errorf("for a component file with %s, whose features are %v, statekind says %q and the adapter %q", c.kind, c.features, why, way)
		}
	}
	for kind := range known {
		if !slices.ContainsFunc(all, func(c component) bool { return c.kind == kind }) {
			t.Errorf("the list of known stores has %s, which Dapr does not have", kind)
		}
	}
}

// TestTheSourceIsReadRight compares the result with what sidecars report about components that can
// be run.
func TestTheSourceIsReadRight(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"state.in-memory":     {"ETAG", "TRANSACTIONAL", "TTL"},
		"state.redis":         {"ETAG", "TRANSACTIONAL", "TTL"},
		"state.postgresql":    {"ETAG", "TRANSACTIONAL", "TTL"},
		"state.cockroachdb":   {"ETAG", "TRANSACTIONAL", "TTL"},
		"state.memcached":     {"TTL"},
		"state.gcp.firestore": nil,
	}
	for _, c := range components(t) {
		if features, ok := want[c.kind]; ok && !slices.Equal(features, c.features) {
			t.Errorf("%s has %v, want %v", c.kind, c.features, features)
		}
	}
}

func moduleVersion(t *testing.T, module string) string {
	t.Helper()
	return listModule(t, "{{.Version}}", module)
}

// listModule asks the go command about a module in this go.mod. Without GOWORK=off, go.work could
// choose another version.
func listModule(t *testing.T, format, module string) string {
	t.Helper()
	list := exec.Command("go", "list", "-m", "-f", format, module)
	list.Env = append(list.Environ(), "GOWORK=off")
	return strings.TrimSpace(string(must(list.Output())(t)))
}
