package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the repository.
const root = "../.."

// documents are all Markdown files, by path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || made(name)) {
			return fs.SkipDir
		}
		if filepath.Ext(name) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		found[filepath.ToSlash(relative)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("no documents")
	}
	return found
}

// made are folders that make makes: they are named, and not there in a fresh clone.
func made(name string) bool { return name == "bin" || name == "third_party" }

var (
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code = regexp.MustCompile("`([^`\n]+)`")
	path = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.*-]+)+/?$`)
	// In a span of code, or as a line of its own in a block.
	target  = regexp.MustCompile("(?m)(?:`|^\\$ |^)make ([a-z][a-z-]*)(?:`|$| +ARGS| +#)")
	setting = regexp.MustCompile(`(?m)^(?:# )?([a-z][A-Za-z]+): \S+$`)
	// An element of a container's args.
	argument = regexp.MustCompile(`(?m)^ +(?:# )?- (--[a-z-]+)`)
	capital  = regexp.MustCompile(`[A-Z]+[a-z]*`)
)

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for document, text := range documents(t) {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			to, _, _ := strings.Cut(match[1], "#")
			if to == "" || strings.Contains(to, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(document), filepath.FromSlash(to))); err != nil {
				t.Errorf("%s links to %s, which does not exist", document, to)
			}
		}
	}
}

// A code span is a path of ours when its first element is a file or folder of the root.
func TestPathsExist(t *testing.T) {
	t.Parallel()
	for document, text := range documents(t) {
		for _, match := range code.FindAllStringSubmatch(text, -1) {
			named := match[1]
			first, _, _ := strings.Cut(named, "/")
			if !path.MatchString(named) || made(first) {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, first)); err != nil {
				continue
			}
			if files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(named))); err != nil || len(files) == 0 {
				t.Errorf("%s names %s, which does not exist", document, named)
			}
		}
	}
}

func TestTargetsOfMakeExist(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for document, text := range documents(t) {
		for _, match := range target.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(makefile), "\n"+match[1]+": ##") {
				t.Errorf("%s says make %s, which is no target", document, match[1])
			}
		}
	}
}

// The keys of settings files are flags; commented ones count.
func TestKeysOfSettingsFilesAreFlags(t *testing.T) {
	t.Parallel()
	reference, err := os.ReadFile(filepath.Join(root, "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "deploy", "systemd", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no settings files: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range setting.FindAllStringSubmatch(string(text), -1) {
			flag := "--" + strings.ToLower(capital.ReplaceAllString(match[1], "-$0"))
			if !strings.Contains(string(reference), flag) {
				t.Errorf("%s sets %s, and there is no flag %s", filepath.Base(file), match[1], flag)
			}
		}
	}
}

// Containers get their flags as arguments; commented ones count.
func TestArgumentsInManifestsAreFlags(t *testing.T) {
	t.Parallel()
	reference, err := os.ReadFile(filepath.Join(root, "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "deploy", "kubernetes", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range argument.FindAllStringSubmatch(string(text), -1) {
			found++
			// The reference has a flag alone, with the type of its value, or with one that may be left out.
			if !slices.ContainsFunc([]string{"`", " ", "[="}, func(end string) bool { return strings.Contains(string(reference), "`"+match[1]+end) }) {
				t.Errorf("%s has the argument %s, which is no flag", filepath.Base(file), match[1])
			}
		}
	}
	if found == 0 {
		t.Fatal("no manifest has an argument")
	}
}
