package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"isthmus/fault"
)

const envPrefix = "ISTHMUS_"

// environmentName is the variable that sets a flag: data-dir → ISTHMUS_DATA_DIR.
func environmentName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fileKey is the key that sets a flag in a file: data-dir → dataDir.
func fileKey(flag string) string {
	words := strings.Split(flag, "-")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

// configFlag names the file; it cannot stand in the file itself.
const configFlag = "config"

// documentEnvironment adds to each flag's help the variable that sets it.
func documentEnvironment(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) { f.Usage += " [$" + environmentName(f.Name) + "]" })
}

// settle sets the flags that were not given on the command line: from the environment, else from the file that the flag
// --config names, if the set has one. All problems are told at once.
func (p Program) settle(flags *pflag.FlagSet) error {
	var problems []fault.Violation
	set := func(f *pflag.Flag, where string, values ...string) {
		if err := setFlag(f, values); err != nil {
			problems = append(problems, fault.Violation{Field: where, Reason: "Invalid", Message: err.Error()})
		}
	}
	fromEnvironment := map[string]bool{}
	flags.VisitAll(func(f *pflag.Flag) {
		name := environmentName(f.Name)
		if value, ok := p.Env(name); ok && value != "" && !f.Changed {
			fromEnvironment[f.Name] = true
			set(f, name, value)
		}
	})
	if config := flags.Lookup(configFlag); config != nil && config.Value.String() != "" {
		path := config.Value.String()
		entries, err := readSettings(path, flags)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.flag.Changed && !fromEnvironment[e.flag.Name] {
				set(e.flag, e.where, e.values...)
			}
		}
	}
	if len(problems) > 0 {
		return fault.Violated(problems...)
	}
	return nil
}

// setFlag sets a flag's value without marking it as given. An environment variable holds a list separated by commas.
func setFlag(f *pflag.Flag, values []string) error {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		if len(values) == 1 {
			values = strings.Split(values[0], ",")
		}
		return list.Replace(values)
	}
	if len(values) != 1 {
		return fmt.Errorf("is a list; expected one value")
	}
	return f.Value.Set(values[0])
}

// setting is one entry of a settings file.
type setting struct {
	flag *pflag.Flag
	// where is file, line and key, for errors.
	where  string
	values []string
}

// readSettings reads a settings file: a YAML mapping of keys to single values, or lists of them.
func readSettings(path string, flags *pflag.FlagSet) ([]setting, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "read the settings in %s", path)
	}
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil // an empty file sets nothing
	} else if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s is not YAML", path)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "%s has more than one document", path)
	}
	mapping := document.Content[0]
	if mapping.Kind != yaml.MappingNode {
		return nil, fault.New(fault.Invalid, "%s:%d: expected a mapping of settings, such as %s", path, mapping.Line, "dataDir: /var/lib/isthmus")
	}
	return settingsIn(path, mapping, flags)
}

func settingsIn(path string, mapping *yaml.Node, flags *pflag.FlagSet) ([]setting, error) {
	byKey := map[string]*pflag.Flag{}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != configFlag {
			byKey[fileKey(f.Name)] = f
		}
	})
	var out []setting
	var problems []fault.Violation
	seen := map[string]bool{}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		where := fmt.Sprintf("%s:%d: %s", path, key.Line, key.Value)
		problem := func(reason, format string, args ...any) {
			problems = append(problems, fault.Violation{Field: where, Reason: reason, Message: fmt.Sprintf(format, args...)})
		}
		flag, known := byKey[key.Value]
		values, plain := scalars(value)
		switch {
		case !known:
			problem("Unknown", "unknown setting; expected one of %s", strings.Join(sortedKeys(byKey), ", "))
		case seen[key.Value]:
			problem("Duplicate", "is set twice")
		case !plain:
			problem("Invalid", "expected a single value, or a list of them")
		default:
			out = append(out, setting{flag: flag, where: where, values: values})
		}
		seen[key.Value] = true
	}
	if len(problems) > 0 {
		return nil, fault.Violated(problems...)
	}
	return out, nil
}

// scalars are the values of a node that is a scalar or a list of them.
func scalars(node *yaml.Node) ([]string, bool) {
	if node.Kind == yaml.ScalarNode {
		return []string{node.Value}, true
	}
	values := []string{}
	for _, item := range node.Content {
		if item.Kind != yaml.ScalarNode {
			return nil, false
		}
		values = append(values, item.Value)
	}
	return values, node.Kind == yaml.SequenceNode
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
