package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// component is one component of a Dapr component file.
type component struct {
	folder, file string
	line         int // of its type
	name         string
	kind         string              // in lower case
	properties   map[string]property // by name in lower case, because Dapr ignores the case
}

// property is one entry of a component's metadata.
type property struct {
	line  int
	name  string // as Dapr documents it
	value string

	secret   bool   // it comes from a secret store
	variable string // the environment variable with the value, or empty
}

// shown returns the value for printing. It hides values from the environment.
func (p property) shown() string {
	if p.variable != "" {
		return "$" + p.variable
	}
	return p.value
}

func (c component) is(family string) bool { return strings.HasPrefix(c.kind, family+".") }

func (c component) at(line int, l level, format string, args ...any) finding {
	return finding{file: c.file, line: line, level: l, text: fmt.Sprintf("%s (%s): ", c.name, c.kind) + fmt.Sprintf(format, args...)}
}

// readComponents reads the component files of a folder.
func readComponents(folder string) ([]component, error) {
	names, err := componentFiles(folder)
	if err != nil {
		return nil, err
	}
	var all []component
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		documents := yaml.NewDecoder(bytes.NewReader(content))
		for {
			var document yaml.Node
			if err := documents.Decode(&document); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %s", name, withoutValues(err))
			}
			c, ok, err := parseComponent(&document)
			if err != nil {
				return nil, fmt.Errorf("%s: %s", name, withoutValues(err))
			}
			if ok {
				c.folder, c.file = folder, name
				all = append(all, c)
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no Dapr component files", folder)
	}
	return all, nil
}

// quotedByYAML matches a value in an error of the YAML library. It may be a password.
var quotedByYAML = regexp.MustCompile("(?s)`.*?`")

func withoutValues(err error) string { return quotedByYAML.ReplaceAllString(err.Error(), "…") }

// componentFiles returns the YAML files of a folder. Like Dapr, it ignores subfolders.
func componentFiles(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		switch filepath.Ext(entry.Name()) {
		case ".yaml", ".yml":
			if !entry.IsDir() {
				names = append(names, filepath.Join(folder, entry.Name()))
			}
		}
	}
	return names, nil
}

// parseComponent reads one document. It returns false if the document is not a component.
func parseComponent(document *yaml.Node) (c component, ok bool, err error) {
	var file struct {
		Kind     string
		Metadata struct{ Name string }
		Spec     struct {
			Type     yaml.Node
			Metadata []struct {
				Name         yaml.Node
				Value        yaml.Node
				EnvRef       string    `yaml:"envRef"`
				SecretKeyRef yaml.Node `yaml:"secretKeyRef"`
			}
		}
	}
	if err := document.Decode(&file); err != nil {
		return component{}, false, err
	}
	if file.Kind != "Component" {
		return component{}, false, nil
	}
	c = component{
		line: file.Spec.Type.Line, name: file.Metadata.Name, kind: strings.ToLower(file.Spec.Type.Value),
		properties: map[string]property{},
	}
	for _, entry := range file.Spec.Metadata {
		p := property{line: entry.Name.Line, name: entry.Name.Value, value: entry.Value.Value}
		switch {
		case !entry.SecretKeyRef.IsZero():
			p.secret = true
		case entry.EnvRef != "":
			p.value, p.variable = os.Getenv(entry.EnvRef), entry.EnvRef
		}
		c.properties[strings.ToLower(p.name)] = p
	}
	return c, true, nil
}
