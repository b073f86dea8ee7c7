#!/bin/sh
# install.sh [--remove]: makes the agent under PREFIX (/usr/local) a launchd agent of this user, or ends and removes it.
# With DESTDIR the files go below it, on any system, and launchd is not called.
set -eu
cd "$(dirname "$0")"
prefix="${PREFIX:-/usr/local}"
destdir="${DESTDIR:-}"
label=life.agentd
agents="$destdir$HOME/Library/LaunchAgents"
logs="$destdir$HOME/Library/Logs/life"
plist="$agents/$label.plist"

fail() {
    printf 'launchd/install.sh: %s\n' "$*" >&2
    exit 1
}

[ -n "$destdir" ] || [ "$(uname)" = Darwin ] || fail "this is no macOS; set DESTDIR to see what it would install"
domain="gui/$(id -u)"

stop() {
    [ -z "$destdir" ] || return 0
    # It fails where the agent is not loaded, which is what is wanted.
    launchctl bootout "$domain/$label" 2>/dev/null || true
}

if [ "${1:-}" = --remove ]; then
    stop
    rm -f "$plist"
    printf 'removed %s; logs stay in %s\n' "$plist" "$logs"
    exit 0
fi

# Text for XML, then for the right side of sed's s.
filled() {
    printf '%s' "$1" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g' | sed 's/[\\&|]/\\&/g'
}

case $prefix$HOME in
*[[:cntrl:]]*) fail "PREFIX and HOME may have no control characters" ;;
/*) ;;
*) fail "PREFIX must be an absolute path" ;;
esac
[ -n "$destdir" ] || [ -x "$prefix/bin/life-agentd" ] || fail "there is no $prefix/bin/life-agentd: make install first"

umask 077
mkdir -p "$logs"
umask 022
mkdir -p "$agents"
sed "s|@PREFIX@|$(filled "$prefix")|g; s|@HOME@|$(filled "$HOME")|g" "$label.plist" >"$plist.new"
mv "$plist.new" "$plist"
if [ -z "$destdir" ]; then
    stop
    launchctl bootstrap "$domain" "$plist"
fi
printf 'installed %s\n' "$plist"
