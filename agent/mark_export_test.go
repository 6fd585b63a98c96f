package agent

import "isthmus/agent/consul"

// DialledWith are the addresses that the dialer's Consul dials after it used a token, where it shows others, for tests.
func DialledWith(token string, shown []string) []string {
	return dialled(consul.Peering{Meta: markOfDialer("uid", "p", 1, consul.Secret(token)), ServerAddresses: shown})
}
