#!/bin/sh
# Installs the build that this script lies in (dist/systemd/install.sh) on this host, or below DESTDIR. Run as root.
# An existing configuration is kept. Start it then with: systemctl enable --now tierd
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
dist=$(dirname -- "$here")
root=${DESTDIR:-}

if [ ! -f "$dist/tierd.js" ]; then
  echo "install.sh: there is no build beside $here: run npm run build, then dist/systemd/install.sh" >&2
  exit 1
fi

install -d -m 0755 "$root/opt/tierd" "$root/etc/tierd" "$root/etc/systemd/system" "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d"
install -m 0644 "$dist/tierd.js" "$dist/package.json" "$root/opt/tierd/"
# koffi, for what needs system calls: of the architecture that the build was made on.
rm -rf "$root/opt/tierd/node_modules"
if [ -d "$dist/node_modules" ]; then cp -r "$dist/node_modules" "$root/opt/tierd/"; fi
install -d -m 0755 "$root/usr/local/bin"
printf '#!/bin/sh\nexec /usr/bin/node /opt/tierd/tierd.js "$@"\n' >"$root/usr/local/bin/tierd"
chmod 0755 "$root/usr/local/bin/tierd"
install -D -m 0644 "$dist/tierd.8" "$root/usr/local/share/man/man8/tierd.8"
install -m 0644 "$here/tierd.service" "$root/etc/systemd/system/tierd.service"
install -m 0644 "$here/tierd.sysusers.conf" "$root/usr/lib/sysusers.d/tierd.conf"
install -m 0644 "$here/tierd.tmpfiles.conf" "$root/usr/lib/tmpfiles.d/tierd.conf"
if [ ! -e "$root/etc/tierd/tierd.yaml" ]; then
  install -m 0644 "$dist/tierd.yaml" "$root/etc/tierd/tierd.yaml"
fi

if [ -z "$root" ]; then
  systemd-sysusers tierd.conf
  systemd-tmpfiles --create tierd.conf
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
fi
