#!/usr/bin/env bash
# The README's demo: samples in, search, near-duplicates, one sentence edited, what that costs, and back again;
# then images: class prototypes, drawings by somebody else, and things that are none of the classes.
set -euo pipefail
demo=.demo
rm -rf "$demo" && mkdir -p "$demo"
cp -R samples/documents "$demo/documents"
cp -R samples/images samples/queries "$demo/"
cat > "$demo/revector.toml" <<'TOML'
[collections.things]
kind = "images"
model = "small-clip"
TOML
export REVECTOR_CONFIG="$demo/revector.toml"
export REVECTOR_HOME="$demo/home"

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
run() { say "$@"; "$@"; }

run revector ingest "$demo/documents"
run revector search "How many weeks of leave do adoptive parents get?" -k 1
run revector search "차입금 평균 금리는 얼마인가" -k 1

run revector search "for how much are the letters of the founder insured" -k 1 --where format=spreadsheet

run revector duplicates
run revector search "why did the orchard buy sensors" -k 1

say "edit one sentence of handbook/release-checklist.txt"
sed -i.bak 's/18 microamperes/21 microamperes/' "$demo/documents/handbook/release-checklist.txt"
rm "$demo/documents/handbook/release-checklist.txt.bak"

run revector plan "$demo/documents"
run revector ingest "$demo/documents"
run revector search "limit of the sleep current" -k 1
run revector diff 1 2

run revector rollback --last
run revector plan "$demo/documents"
run revector search "limit of the sleep current" -k 1
run revector search "limit of the sleep current" -k 1 --as-of 2
run revector history
run revector check
run revector failures

run revector ingest "$demo/images" --collection things
run revector classify "$demo"/queries/*.png --collection things
run revector search bicycle --collection things -k 1
run revector search --image "$demo/queries/우산.png" --collection things -k 2
run revector prototypes show --collection things --figure "$demo/prototypes.png"

say "one more image in the class 책"
cp "$demo/queries/책.png" "$demo/images/책/openmoji-book.png"
run revector ingest "$demo/images" --collection things
run revector prototypes history --collection things
run revector prototypes rollback --collection things
run revector prototypes export --collection things --output "$demo/export"
