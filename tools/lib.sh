# What the scripts of make share. Sourced by bash.

say() { printf '%s\n' "$*" >&2; }

# step NAME COMMAND… runs a command and says what it is and how long it took.
step() {
	local name=$1 start=$SECONDS status=0
	shift
	printf '\n==> %s\n' "$name"
	"$@" || status=$?
	if [ "$status" -ne 0 ]; then
		printf '==> %s: failed after %s s\n' "$name" $((SECONDS - start))
		exit "$status"
	fi
	printf '    %s s\n' $((SECONDS - start))
}

# sha256 of standard input, in hex.
sha256() {
	if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}
