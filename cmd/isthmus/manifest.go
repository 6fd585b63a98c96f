package main

import (
	"bytes"
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

// manifestSet is what the -f flags name, as the one text that is sent.
type manifestSet struct {
	text      []byte
	manifests []resource.Manifest
	files     []manifestFile
}

// manifestFile is where one file stands in the text of a set.
type manifestFile struct {
	name string
	// Numbers of its first document and line in the set, from 1.
	document, line int
}

// readManifests reads files, directories (their *.yaml, *.yml and *.json) and, for "-", standard input. The manifests are
// parsed here already, so that errors name the file.
func readManifests(p Program, names []string) (*manifestSet, error) {
	paths, err := manifestPaths(names)
	if err != nil {
		return nil, err
	}
	set := &manifestSet{}
	var problems []fault.Violation
	line := 1
	for _, path := range paths {
		data, err := readManifest(p, path)
		if err != nil {
			return nil, err
		}
		manifests, err := resource.ParseManifests(sourceName(path), data)
		var invalid *fault.Error
		if errors.As(err, &invalid) && len(invalid.Violations) > 0 {
			problems = append(problems, invalid.Violations...)
			continue
		}
		if err != nil {
			return nil, err
		}
		set.files = append(set.files, manifestFile{name: sourceName(path), document: len(set.manifests) + 1, line: line})
		set.manifests = append(set.manifests, manifests...)
		data = append(bytes.TrimRight(data, "\n"), "\n---\n"...)
		set.text = append(set.text, data...)
		line += bytes.Count(data, []byte("\n"))
	}
	problems = append(problems, set.duplicates()...)
	if len(problems) > 0 {
		return nil, fault.Violated(problems...)
	}
	return set, nil
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
		file, _, _ := s.locate(i+1, 0)
		key := resource.KindOf(m.Object).Name + " " + m.Object.GetName()
		if other, twice := first[key]; twice && other != file {
			problems = append(problems, m.Locate(fault.Violation{
				Field: "name", Reason: resource.ReasonDuplicate, Message: fmt.Sprintf("%s is there twice: in %s too", key, other),
			}))
		}
		first[key] = file
	}
	return problems
}

// locate translates a document and a line of the set into those of a file.
func (s *manifestSet) locate(document, line int) (file string, documentInFile, lineInFile int) {
	at := s.files[0]
	for _, f := range s.files {
		if f.document <= document {
			at = f
		}
	}
	return at.name, document - at.document + 1, line - at.line + 1
}

// relocate lets a server's violations name files instead of places in what was sent.
func (s *manifestSet) relocate(err error) error {
	var e *fault.Error
	if !errors.As(err, &e) || len(e.Violations) == 0 {
		return err
	}
	located := *e
	located.Violations = slices.Clone(e.Violations)
	place := regexp.MustCompile(`^document (\d+), line (\d+)`)
	for i, v := range located.Violations {
		found := place.FindStringSubmatch(v.Field)
		if found == nil {
			continue
		}
		document, _ := strconv.Atoi(found[1])
		line, _ := strconv.Atoi(found[2])
		file, document, line := s.locate(document, line)
		old := v.Field
		located.Violations[i].Field = fmt.Sprintf("%s: document %d, line %d%s", file, document, line, v.Field[len(found[0]):])
		located.Message = strings.Replace(located.Message, old, located.Violations[i].Field, 1)
	}
	return &located
}
