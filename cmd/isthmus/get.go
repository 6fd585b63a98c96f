package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/fault"
	"isthmus/resource"
)

func (p Program) getCommand() *cobra.Command {
	g := getter{program: p}
	cmd := &cobra.Command{
		Use:   "get KIND [NAME...]",
		Short: "Show resources",
		Long:  "Show the resources of a kind, or some of them by name.\n\n" + kindsHelp(),
		Example: `  isthmus get datacenters
  isthmus get peerings -o wide -w
  isthmus get dc -l env=prod -o json | jq '.[].name'`,
		Args: cobra.MinimumNArgs(1),
	}
	g.form = outputFlag(cmd, formTable, formWide, formJSON, formYAML)
	cmd.Flags().StringVarP(&g.selector, "selector", "l", "", "only what has these labels: env=prod,region in (eu,us),!old")
	cmd.Flags().BoolVarP(&g.watch, "watch", "w", false, "go on and show what changes")
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = conn.completeKindAndName(resource.Kinds())
	cmd.RunE = conn.run(g.run)
	return cmd
}

func kindsHelp() string {
	var b strings.Builder
	b.WriteString("Kinds (any of the words will do):\n")
	for _, k := range resource.Kinds() {
		b.WriteString("  " + strings.Join(wordsOf(k), ", ") + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func wordsOf(k resource.Kind) []string {
	words := []string{k.Plural, k.Singular}
	if k.Short != "" {
		words = append(words, k.Short)
	}
	return words
}

// kindArgument finds the kind that a word on the command line means.
func kindArgument(word string) (resource.Kind, error) {
	kind, ok := resource.KindNamed(word)
	if !ok {
		var plurals []string
		for _, k := range resource.Kinds() {
			plurals = append(plurals, k.Plural)
		}
		return kind, fault.New(fault.Invalid, "there is no kind %q; expected one of %s", word, strings.Join(plurals, ", "))
	}
	return kind, nil
}

// getter is isthmus get.
type getter struct {
	program  Program
	form     *choice
	selector string
	watch    bool
	// columns are those of the table that --watch writes.
	columns widths
}

func (g *getter) run(ctx context.Context, c *client.Client, args []string) error {
	kind, err := kindArgument(args[0])
	if err != nil {
		return err
	}
	names := args[1:]
	if len(names) > 0 && g.selector != "" {
		return fault.New(fault.Invalid, "--selector and names exclude each other")
	}
	if g.watch {
		return g.follow(ctx, c, kind, names)
	}
	if len(names) == 1 {
		o, err := c.Get(ctx, kind, names[0])
		if err != nil {
			return err
		}
		if g.form.value == formJSON {
			return g.program.printJSON(o)
		}
		return g.show(kind, []resource.Object{o})
	}
	objects, err := g.collect(ctx, c, kind, names)
	if err != nil {
		return err
	}
	return g.show(kind, objects)
}

func (g *getter) collect(ctx context.Context, c *client.Client, kind resource.Kind, names []string) ([]resource.Object, error) {
	if len(names) == 0 {
		return c.All(ctx, kind, client.ListOptions{Selector: g.selector})
	}
	var objects []resource.Object
	for _, name := range names {
		o, err := c.Get(ctx, kind, name)
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

func (g *getter) show(kind resource.Kind, objects []resource.Object) error {
	switch g.form.value {
	case formJSON:
		return printJSONArray(g.program, objects)
	case formYAML:
		return printYAML(g.program, objects...)
	}
	if len(objects) == 0 {
		g.program.note("No %s.", strings.ReplaceAll(kind.Plural, "-", " "))
		return nil
	}
	return g.program.objectTable(kind, objects, g.form.value == formWide)
}

// objectTable writes resources of one kind with its columns.
func (p Program) objectTable(kind resource.Kind, objects []resource.Object, wide bool) error {
	rows := make([][]string, 0, len(objects))
	for _, o := range objects {
		rows = append(rows, rowFor(kind, o, wide))
	}
	return p.table(headerFor(kind, wide), rows)
}

func headerFor(kind resource.Kind, wide bool) []string {
	header := []string{"NAME"}
	for _, column := range kind.Columns {
		if wide || !column.Wide {
			header = append(header, column.Title)
		}
	}
	return header
}

func rowFor(kind resource.Kind, o resource.Object, wide bool) []string {
	row := []string{o.GetName()}
	for _, column := range kind.Columns {
		if wide || !column.Wide {
			row = append(row, column.Value(o))
		}
	}
	return row
}

// follow shows what is there, and then each resource that changes. In JSON, each is an object on a line of its own; one
// that goes is shown once more, with "deleted": true.
func (g *getter) follow(ctx context.Context, c *client.Client, kind resource.Kind, names []string) error {
	if len(names) > 1 {
		return fault.New(fault.Invalid, "--watch takes one name or none")
	}
	shown := map[string]resource.Object{}
	for objects, err := range c.Watch(ctx, kind, client.ListOptions{Selector: g.selector}) {
		if err != nil {
			if !client.Retriable(err) {
				return err
			}
			g.program.note("%s; trying again", explain(err))
			continue
		}
		if len(names) == 1 {
			objects = onlyNamed(objects, names[0])
		}
		if err := g.showChanges(kind, shown, objects); err != nil {
			return err
		}
	}
	return nil
}

func onlyNamed(objects []resource.Object, name string) []resource.Object {
	for _, o := range objects {
		if o.GetName() == name {
			return []resource.Object{o}
		}
	}
	return nil
}

func (g *getter) showChanges(kind resource.Kind, shown map[string]resource.Object, objects []resource.Object) error {
	first := len(shown) == 0
	var changed, gone []resource.Object
	present := map[string]bool{}
	for _, o := range objects {
		present[o.GetName()] = true
		if old, ok := shown[o.GetName()]; !ok || old.GetIndex() != o.GetIndex() || old.GetUid() != o.GetUid() {
			changed = append(changed, o)
		}
		shown[o.GetName()] = o
	}
	for _, name := range sortedKeys(shown) {
		if !present[name] {
			gone = append(gone, shown[name])
			delete(shown, name)
		}
	}
	if len(changed)+len(gone) == 0 {
		return nil
	}
	switch g.form.value {
	case formJSON:
		return g.streamJSON(changed, gone)
	case formYAML:
		return g.streamYAML(changed, gone)
	}
	return g.streamTable(kind, changed, gone, first)
}

func (g *getter) streamJSON(changed, gone []resource.Object) error {
	for _, o := range changed {
		raw, err := messageJSON(o, true)
		if err != nil {
			return err
		}
		if err := g.program.write(append(raw, '\n')); err != nil {
			return err
		}
	}
	for _, o := range gone {
		raw, err := messageJSON(o, true)
		if err != nil {
			return err
		}
		if err := g.program.write([]byte(string(raw[:len(raw)-1]) + ",\"deleted\":true}\n")); err != nil {
			return err
		}
	}
	return nil
}

func (g *getter) streamYAML(changed, gone []resource.Object) error {
	for _, o := range changed {
		g.program.printf("---\n")
		if err := printYAML(g.program, o); err != nil {
			return err
		}
	}
	for _, o := range gone {
		g.program.printf("---\n# %s %s is deleted\n", resource.KindOf(o).Name, o.GetName())
	}
	return nil
}

// streamTable writes rows as a table; the header only the first time.
func (g *getter) streamTable(kind resource.Kind, changed, gone []resource.Object, first bool) error {
	wide := g.form.value == formWide
	var rows [][]string
	for _, o := range changed {
		rows = append(rows, rowFor(kind, o, wide))
	}
	for _, o := range gone {
		rows = append(rows, []string{o.GetName(), "deleted"})
	}
	header := headerFor(kind, wide)
	if !first {
		header = nil
	}
	return g.program.grow(&g.columns, header, rows)
}
