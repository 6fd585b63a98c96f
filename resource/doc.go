// Package resource is the vocabulary: which kinds there are, what makes one valid, and how it reads in a manifest.
//
// Owns: the registry of kinds (one row each: Kinds), validation rules, selectors, manifests (YAML and JSON in and out),
// differences between two versions, canonical JSON and digests.
// Does not own: what a set of resources means (federation, peering, policy, plan), who may write them (server), how they
// are kept (store). Pure: no I/O. Start reading at Kind.
package resource
