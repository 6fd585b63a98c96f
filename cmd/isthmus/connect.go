package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"isthmus/client"
	"isthmus/fault"
)

// connection says which server, and who is asking.
type connection struct {
	program   Program
	flags     *pflag.FlagSet
	addr      string
	tokenFile string
	caCert    string
	plain     bool
}

// connectionOf adds the flags of a connection to a command.
func (p Program) connectionOf(cmd *cobra.Command) *connection {
	c := &connection{program: p, flags: pflag.NewFlagSet("connection", pflag.ContinueOnError)}
	c.flags.StringVar(&c.addr, "addr", client.DefaultAddress, "address of the server: a URL or host:port")
	c.flags.StringVar(&c.tokenFile, "token-file", "", "file with the API token; the token itself can be in $ISTHMUS_TOKEN")
	c.flags.StringVar(&c.caCert, "cacert", "", "file (PEM) with the authority of the server's certificate, when it is not a public one")
	c.flags.BoolVar(&c.plain, "allow-plain", false, "send the API token to another machine without TLS, where something else encrypts the way")
	documentEnvironment(c.flags)
	cmd.Flags().AddFlagSet(c.flags)
	return c
}

// run makes a command's RunE out of what it does with a client.
func (c *connection) run(do func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		connected, err := c.client()
		if err != nil {
			return err
		}
		return do(cmd.Context(), connected, args)
	}
}

// client makes the client that flags and environment describe.
func (c *connection) client() (*client.Client, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	return client.New(config)
}

// config is what flags and environment say of the connection.
func (c *connection) config() (client.Config, error) {
	tokenFileGiven := c.flags.Changed("token-file")
	if err := c.program.settle(c.flags); err != nil {
		return client.Config{}, err
	}
	token, inEnvironment := c.program.Env("ISTHMUS_TOKEN")
	if c.tokenFile != "" && (tokenFileGiven || !inEnvironment || token == "") {
		secret, err := readSecretFile(c.tokenFile, c.program, "the API token")
		if err != nil {
			return client.Config{}, err
		}
		token = secret
	}
	return client.Config{
		Address: c.addr, Token: strings.TrimSpace(token), CACert: c.caCert, AllowPlain: c.plain, UserAgent: "isthmus/" + versionOf(),
		Busy: func(why error, pause time.Duration) {
			fmt.Fprintf(c.program.Err, "%s; trying again in %s\n", plain(explain(why)), pause.Round(time.Second))
		},
	}, nil
}

// maxSecretFile bounds what is read as a secret: a peering token of a large cluster has some kilobytes.
const maxSecretFile = 1 << 20

// readSecretFile reads a secret from a file, or from standard input when the file is "-".
func readSecretFile(path string, p Program, what string) (string, error) {
	var data []byte
	var err error
	if path == "-" {
		data, err = readAtMost(p.In, maxSecretFile)
	} else {
		var file *os.File
		if file, err = os.Open(path); err == nil {
			defer func() { _ = file.Close() }()
			data, err = readAtMost(file, maxSecretFile)
		}
	}
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "read %s", what)
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", fault.New(fault.Invalid, "read %s: %s is empty", what, path)
	}
	return secret, nil
}
