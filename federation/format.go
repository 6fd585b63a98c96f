package federation

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"isthmus/fault"
)

// SecretYAML is the Kubernetes Secret of a bundle as a manifest: what consul-k8s's create-federation-secret makes.
func (b *Bundle) SecretYAML(name, namespace string) ([]byte, error) {
	data, err := b.SecretData()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n", scalar(name))
	if namespace != "" {
		fmt.Fprintf(&out, "  namespace: %s\n", scalar(namespace))
	}
	out.WriteString("type: Opaque\ndata:\n")
	for _, key := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(&out, "  %s: %s\n", key, base64.StdEncoding.EncodeToString(data[key]))
	}
	return out.Bytes(), nil
}

// HandFiles are the files, by name, that an operator without an agent puts into a server's configuration directory; dir is where Consul
// will find them. Certificate and key of the server are named in them, and not among them: they are made on its host. The token of the mesh
// gateway is among them, which Consul leaves alone.
func (b *Bundle) HandFiles(dir string) (map[string][]byte, error) {
	config, err := b.SecondaryDropIn(handFiles(dir))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{FileDropIn: config, FileCA: []byte(b.CABundle())}
	if b.Tokens.Gateway != "" {
		files[FileGatewayToken] = []byte(b.Tokens.Gateway + "\n")
	}
	return files, nil
}

// HCL is the server configuration of HandFiles in Consul's own language.
func (b *Bundle) HCL(dir string) ([]byte, error) {
	config, err := b.SecondaryDropIn(handFiles(dir))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Federation %s: Consul datacenter %s as a secondary of %s. This holds secrets.\n", b.Federation, b.Datacenter, b.PrimaryDatacenter)
	fmt.Fprintf(&out, "datacenter = %s\n", strconv.Quote(b.Datacenter))
	d := json.NewDecoder(bytes.NewReader(config))
	if _, err := d.Token(); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "rendering HCL")
	}
	if err := hclBody(&out, d, ""); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "rendering HCL")
	}
	return out.Bytes(), nil
}

func handFiles(dir string) TLSFiles {
	at := func(name string) string { return strings.TrimSuffix(dir, "/") + "/" + name }
	return TLSFiles{CA: at(FileCA), Cert: at(FileCert), Key: at(FileKey)}
}

// hclBody writes the fields of a JSON object, whose opening brace was read, in their order: objects as blocks.
func hclBody(out *bytes.Buffer, d *json.Decoder, margin string) error {
	for first := margin != ""; d.More(); first = false {
		name, err := d.Token()
		if err != nil {
			return err //nolint:wrapcheck // HCL says what was being done
		}
		value, err := d.Token()
		if err != nil {
			return err //nolint:wrapcheck // as above
		}
		switch value {
		case json.Delim('{'):
			if !first {
				out.WriteString("\n")
			}
			fmt.Fprintf(out, "%s%s {\n", margin, name)
			if err := hclBody(out, d, margin+"  "); err != nil {
				return err
			}
			fmt.Fprintf(out, "%s}\n", margin)
		case json.Delim('['):
			var items []string
			for d.More() {
				item, err := d.Token()
				if err != nil {
					return err //nolint:wrapcheck // as above
				}
				items = append(items, hclValue(item))
			}
			if _, err := d.Token(); err != nil {
				return err //nolint:wrapcheck // as above
			}
			fmt.Fprintf(out, "%s%s = [%s]\n", margin, name, strings.Join(items, ", "))
		default:
			fmt.Fprintf(out, "%s%s = %s\n", margin, name, hclValue(value))
		}
	}
	_, err := d.Token()
	return err //nolint:wrapcheck // as above
}

func hclValue(token json.Token) string {
	if text, ok := token.(string); ok {
		return strconv.Quote(text)
	}
	return fmt.Sprint(token)
}

// plainScalar is what YAML takes without quotes, whatever it is followed by.
var plainScalar = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9._/-]*(://[A-Za-z0-9.\[\]:/-]+)?$`)

// scalar is a text as YAML.
func scalar(text string) string {
	switch strings.ToLower(text) {
	case "", "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return strconv.Quote(text)
	}
	if plainScalar.MatchString(text) {
		return text
	}
	return strconv.Quote(text)
}
