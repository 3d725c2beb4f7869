#!/usr/bin/env bash
# Debian packages revector makes use of. All are optional: `revector doctor` says what is missing
# and what that costs.
#   tesseract-ocr, tesseract-ocr-kor   for reading scanned pages, Korean and English; this version
#                                      does not read them yet and rejects pages without text
set -euo pipefail
packages=(tesseract-ocr tesseract-ocr-kor)
sudo=$([ "$(id -u)" = 0 ] || echo sudo)
$sudo apt-get update --quiet
$sudo apt-get install --quiet --yes --no-install-recommends "${packages[@]}"
