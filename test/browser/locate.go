package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Locator says which element is meant, by what it is to a person: its role and name as a screen reader says them, its label, its text.
// White space counts as one space each. Locators are values: each method returns another one.
type Locator struct {
	// role and name; name alone is a label; text alone is what is on the screen.
	role, name, text string
	containing       bool
	states           []state
	within           *Locator
}

// state is a property of an element that a screen reader knows, and the value it has.
type state struct{ property, value string }

// Role finds what has an ARIA role and that accessible name; an empty name is any.
func Role(role, name string) Locator { return Locator{role: role, name: squeeze(name)} }

// Label finds what can be filled in or switched, by its accessible name.
func Label(name string) Locator { return Locator{name: squeeze(name)} }

// Text finds the innermost visible elements that contain a text.
func Text(text string) Locator { return Locator{text: squeeze(text)} }

// Containing takes names that contain the one given, too.
func (l Locator) Containing() Locator {
	l.containing = true
	return l
}

// With takes only what has a property in the accessibility tree: With("checked", "true"), With("focused", "true"), With("value", "dc1").
// It is for roles and labels.
func (l Locator) With(property, value string) Locator {
	l.states = append(slices.Clone(l.states), state{property, value})
	return l
}

// In takes only what is inside of another element, of which there has to be exactly one.
func (l Locator) In(outer Locator) Locator {
	if l.within != nil {
		outer = outer.In(*l.within)
	}
	l.within = &outer
	return l
}

// String is what messages call it.
func (l Locator) String() string {
	var out strings.Builder
	verb := ""
	if l.containing {
		verb = "containing "
	}
	switch {
	case l.text != "":
		fmt.Fprintf(&out, "text %q", l.text)
	case l.role == "":
		fmt.Fprintf(&out, "field %s%q", verb, l.name)
	case l.name == "":
		out.WriteString(l.role)
	default:
		fmt.Fprintf(&out, "%s %s%q", l.role, verb, l.name)
	}
	for _, s := range l.states {
		fmt.Fprintf(&out, " with %s %s", s.property, s.value)
	}
	if l.within != nil {
		fmt.Fprintf(&out, " in %s", l.within)
	}
	return out.String()
}

// squeeze makes one space of each white space.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

// fields are the roles that a label names. The list that opens below a combobox has its name as well, and is no field.
func fields() []string {
	return []string{"textbox", "searchbox", "combobox", "checkbox", "switch", "radio", "radiogroup", "slider", "spinbutton"}
}

// find gives all elements that a locator means.
func (l Locator) find(ctx context.Context, t *chromedp.Target) ([]cdp.BackendNodeID, error) {
	root, err := l.root(ctx, t)
	if err != nil {
		return nil, err
	}
	if l.text != "" {
		return byText(ctx, t, root, l.text)
	}
	nodes, err := queryTree(ctx, t, root, l.role)
	if err != nil {
		return nil, err
	}
	var found []cdp.BackendNodeID
	for _, node := range nodes {
		if l.means(node) && !slices.Contains(found, node.BackendDOMNodeID) {
			found = append(found, node.BackendDOMNodeID)
		}
	}
	return found, nil
}

// root is what to look in.
func (l Locator) root(ctx context.Context, t *chromedp.Target) (cdp.BackendNodeID, error) {
	if l.within == nil {
		document, err := cdp.Call(ctx, t, dom.GetDocument, dom.GetDocumentParams{})
		if err != nil {
			return 0, err
		}
		return document.Root.BackendNodeID, nil
	}
	outer, err := l.within.find(ctx, t)
	if err != nil {
		return 0, err
	}
	if len(outer) != 1 {
		return 0, &notYet{fmt.Sprintf("there are %d of %s to look in", len(outer), l.within)}
	}
	return outer[0], nil
}

// notYet is why something cannot be done that may be done in a moment.
type notYet struct{ why string }

// Error says why.
func (n *notYet) Error() string { return n.why }

// queryTree gives what is in the accessibility tree below a node, of a role, or of any.
func queryTree(ctx context.Context, t *chromedp.Target, root cdp.BackendNodeID, role string) ([]*accessibility.Node, error) {
	found, err := cdp.Call(ctx, t, accessibility.QueryAXTree, accessibility.QueryAXTreeParams{BackendNodeID: root, Role: role})
	if err != nil {
		return nil, err
	}
	return found.Nodes, nil
}

func (l Locator) means(node *accessibility.Node) bool {
	if node.Ignored || node.BackendDOMNodeID == 0 {
		return false
	}
	if l.role == "" && !slices.Contains(fields(), text(node.Role)) {
		return false
	}
	name := squeeze(text(node.Name))
	if name != l.name && (!l.containing || !strings.Contains(name, l.name)) && (l.role == "" || l.name != "") {
		return false
	}
	for _, s := range l.states {
		if property(node, s.property) != s.value {
			return false
		}
	}
	return true
}

// property is what the accessibility tree says of a node; a property that it does not have is "false".
func property(node *accessibility.Node, name string) string {
	switch name {
	case "value":
		return text(node.Value)
	case "description":
		return text(node.Description)
	}
	for _, p := range node.Properties {
		if string(p.Name) == name {
			return text(p.Value)
		}
	}
	return "false"
}

// text is a value of the accessibility tree as text: strings are JSON there, so are all others.
func text(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	var out string
	if err := json.Unmarshal(v.Value, &out); err == nil {
		return out
	}
	return string(v.Value)
}

// textFinder gives the innermost visible elements whose text contains one, below this.
const textFinder = `function(wanted) {
	const contains = (element) => (element.innerText ?? '').replace(/\s+/g, ' ').includes(wanted);
	const visible = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
	const found = [];
	const walk = (element) => {
		if (!contains(element)) return;
		const before = found.length;
		for (const child of element.children) walk(child);
		if (found.length === before && visible(element)) found.push(element);
	};
	walk(this.body ?? this);
	return found;
}`

func byText(ctx context.Context, t *chromedp.Target, root cdp.BackendNodeID, wanted string) ([]cdp.BackendNodeID, error) {
	list, err := call[*runtime.RemoteObject](ctx, t, root, textFinder, wanted)
	if err != nil {
		return nil, err
	}
	own := true
	elements, err := cdp.Call(ctx, t, runtime.GetProperties, runtime.GetPropertiesParams{ObjectID: list.ObjectID, OwnProperties: &own})
	if err != nil {
		return nil, err
	}
	var found []cdp.BackendNodeID
	for _, element := range elements.Result {
		if element.Value == nil || element.Value.Subtype != runtime.RemoteObjectSubtypeNode {
			continue
		}
		node, err := cdp.Call(ctx, t, dom.DescribeNode, dom.DescribeNodeParams{ObjectID: element.Value.ObjectID})
		if err != nil {
			return nil, err
		}
		found = append(found, node.Node.BackendNodeID)
	}
	return found, nil
}

// outlineLines is how much of a page a failed test shows.
const outlineLines = 150

// outline is the page as a screen reader has it, a line for each thing that has a name.
func outline(ctx context.Context, t *chromedp.Target) (string, error) {
	root, err := Locator{}.root(ctx, t)
	if err != nil {
		return "", err
	}
	nodes, err := queryTree(ctx, t, root, "")
	if err != nil {
		return "", err
	}
	var lines []string
	for _, node := range nodes {
		role, name := text(node.Role), squeeze(text(node.Name))
		if node.Ignored || name == "" || role == "InlineTextBox" {
			continue
		}
		if line := fmt.Sprintf("  %s %q", role, name); len(lines) == 0 || lines[len(lines)-1] != line {
			lines = append(lines, line)
		}
	}
	if len(lines) > outlineLines {
		lines = append(lines[:outlineLines], fmt.Sprintf("  … and %d more", len(lines)-outlineLines))
	}
	return strings.Join(lines, "\n"), nil
}
