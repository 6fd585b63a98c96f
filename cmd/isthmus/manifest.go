package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"isthmus/fault"
	"isthmus/resource"
)

// manifestSet is what the -f flags name, read.
type manifestSet struct {
	manifests []resource.Manifest
	// sources are the files that the manifests stand in.
	sources []string
}

// readManifests reads files, directories (their *.yaml, *.yml and *.json) and, for "-", standard input. They are parsed here
// already, so that errors name the file.
func readManifests(p Program, names []string) (*manifestSet, error) {
	paths, err := manifestPaths(names)
	if err != nil {
		return nil, err
	}
	set := &manifestSet{}
	var problems []fault.Violation
	for _, path := range paths {
		data, err := readManifest(p, path)
		if err != nil {
			return nil, err
		}
		manifests, err := resource.ParseManifests(sourceName(path), data)
		if invalid, ok := errors.AsType[*fault.Error](err); ok && len(invalid.Violations) > 0 {
			problems = append(problems, invalid.Violations...)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, m := range manifests {
			set.manifests = append(set.manifests, m)
			set.sources = append(set.sources, sourceName(path))
		}
	}
	problems = append(problems, set.duplicates()...)
	if len(problems) > 0 {
		return nil, fault.Violated(problems...)
	}
	return set, nil
}

// text is the set as one text of documents, in its order.
func (s *manifestSet) text() ([]byte, error) {
	objects := make([]resource.Object, 0, len(s.manifests))
	for _, m := range s.manifests {
		objects = append(objects, m.Object)
	}
	return resource.FormatManifests(objects...)
}

func sourceName(path string) string {
	if path == "-" {
		return "standard input"
	}
	return path
}

func readManifest(p Program, path string) ([]byte, error) {
	var data []byte
	var err error
	if path == "-" {
		data, err = readAtMost(p.In, resource.MaxManifests)
	} else if data, err = os.ReadFile(path); err == nil && len(data) > resource.MaxManifests {
		err = fmt.Errorf("it is larger than %d bytes", resource.MaxManifests)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "read manifests from %s", sourceName(path))
	}
	return data, nil
}

func manifestPaths(names []string) ([]string, error) {
	var paths []string
	for _, name := range names {
		info, err := os.Stat(name)
		switch {
		case name == "-":
			paths = append(paths, name)
			continue
		case err != nil:
			return nil, fault.Wrap(fault.Invalid, err, "read manifests")
		case !info.IsDir():
			paths = append(paths, name)
			continue
		}
		entries, err := os.ReadDir(name)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "read manifests")
		}
		found := len(paths)
		for _, e := range entries {
			if !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) {
				paths = append(paths, filepath.Join(name, e.Name()))
			}
		}
		if len(paths) == found {
			return nil, fault.New(fault.Invalid, "there is no *.yaml, *.yml or *.json in %s", name)
		}
	}
	return paths, nil
}

// duplicates are resources that stand in more than one file; within one, parsing has found them.
func (s *manifestSet) duplicates() []fault.Violation {
	var problems []fault.Violation
	first := map[string]string{}
	for i, m := range s.manifests {
		key := resource.KindOf(m.Object).Name + " " + m.Object.GetName()
		if other, twice := first[key]; twice {
			problems = append(problems, m.Locate(fault.Violation{
				Field: "name", Reason: resource.ReasonDuplicate, Message: fmt.Sprintf("%s is there twice: in %s too", key, other),
			}))
		}
		first[key] = s.sources[i]
	}
	return problems
}

// relocate lets a server's violations name the place in the user's files instead of that in the text that was sent.
func (s *manifestSet) relocate(err error) error {
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || len(e.Violations) == 0 {
		return err
	}
	located := *e
	located.Violations = slices.Clone(e.Violations)
	place := regexp.MustCompile(`^document (\d+), line \d+: (.*)$`)
	for i, v := range located.Violations {
		found := place.FindStringSubmatch(v.Field)
		if found == nil {
			continue
		}
		document, err := strconv.Atoi(found[1])
		if err != nil || document < 1 || document > len(s.manifests) {
			continue
		}
		located.Violations[i].Field = s.manifests[document-1].Locate(fault.Violation{Field: found[2]}).Field
		located.Message = strings.Replace(located.Message, v.Field, located.Violations[i].Field, 1)
	}
	return &located
}
