#!/usr/bin/env bash
# Debian packages revector makes use of. All are optional: `revector doctor` says what is missing
# and what that costs.
#   tesseract-ocr, tesseract-ocr-kor   read scanned pages and images, Korean and English; without them
#                                      such pages are rejections, and the rest is indexed
#   fonts-nanum                        reads PDFs that name a Korean font and do not bring it (without one
#                                      they lose single letters), writes Korean names into figures
set -euo pipefail
packages=(tesseract-ocr tesseract-ocr-kor fonts-nanum)
sudo=$([ "$(id -u)" = 0 ] || echo sudo)
$sudo apt-get update --quiet
$sudo apt-get install --quiet --yes --no-install-recommends "${packages[@]}"
