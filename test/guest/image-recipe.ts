/** Everything that decides what a guest image holds; a change here gives a new image. */
export interface ImageRecipe {
  /** Kernel as asked for, such as `7.3`. */
  readonly kernel: string;
  /** Debian packages besides those every guest has. */
  readonly extraPackages: readonly string[];
}

export const userlandSuite = 'trixie';

/** What the daemon, its installation and its tests need in a guest; kept lean, for node 0 has little memory. */
const packages = [
  'systemd-sysv',
  'udev',
  'kmod',
  'openssh-server',
  'nodejs',
  'cxl',
  'daxctl',
  'ndctl',
  'numactl',
  'procps',
  'psmisc',
  'iproute2',
  'curl',
  'jq',
  'busybox-static',
  'cpio',
  'xz-utils',
];

/** Packages of an image, but for the kernel's. */
export function imagePackages(recipe: ImageRecipe): string[] {
  return [...packages, ...recipe.extraPackages];
}

/** The line on the console that says a boot is done. */
export const readyMarker = 'TIERD-GUEST-READY';

/** Units that cost boot time or wake up later, and do nothing for a guest that lives for minutes. */
const maskedUnits = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'getty@tty1.service',
  'serial-getty@ttyS0.service',
  'getty-static.service',
  'systemd-tmpfiles-clean.timer',
  'systemd-update-utmp.service',
  'systemd-update-utmp-runlevel.service',
  'systemd-random-seed.service',
  'systemd-pstore.service',
  'systemd-hwdb-update.service',
  'systemd-journal-catalog-update.service',
  'systemd-journal-flush.service',
  'systemd-update-done.service',
  'systemd-machine-id-commit.service',
  'systemd-firstboot.service',
  'systemd-hibernate-clear.service',
  'systemd-network-generator.service',
  'systemd-udev-load-credentials.service',
  'systemd-logind.service',
  'ldconfig.service',
  'ndctl-monitor.service',
  'cxl-monitor.service',
  'sshd-keygen.service',
  'ssh.socket',
];

/** Files of the guest beside those of its packages. */
export const imageFiles: Readonly<Record<string, string>> = {
  'etc/hostname': 'guest\n',
  'etc/hosts': '127.0.0.1 localhost\n127.0.1.1 guest\n',
  'etc/fstab': '/dev/vda / ext4 defaults,noatime 0 0\n',
  'etc/machine-id': '7469657264000000000000000000677e\n',
  'etc/ssh/sshd_config.d/guest.conf': [
    'HostKey /etc/ssh/ssh_host_ed25519_key',
    'UsePAM no',
    'UseDNS no',
    'PrintMotd no',
    'PrintLastLog no',
    'PasswordAuthentication no',
    // Every command is a session of one connection.
    'MaxSessions 500',
    'PerSourcePenalties no',
    '',
  ].join('\n'),
  'etc/systemd/journald.conf.d/guest.conf':
    '[Journal]\nStorage=volatile\nRuntimeMaxUse=8M\nForwardToWall=no\nAudit=no\n',
  'etc/systemd/system.conf.d/guest.conf': '[Manager]\nDefaultTimeoutStartSec=300s\nDefaultDeviceTimeoutSec=300s\n',
  'etc/systemd/system/guest-network.service': [
    '[Unit]',
    'DefaultDependencies=no',
    'After=systemd-udevd.service sys-subsystem-net-devices-eth0.device',
    'Wants=sys-subsystem-net-devices-eth0.device',
    'Before=ssh.service network.target',
    '[Service]',
    'Type=oneshot',
    'RemainAfterExit=yes',
    'ExecStart=/bin/sh -c "ip link set lo up; ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up; ip route add default via 10.0.2.2"',
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n'),
  'etc/systemd/system/guest-ready.service': [
    '[Unit]',
    'After=ssh.service guest-network.service multi-user.target',
    '[Service]',
    'Type=oneshot',
    'RemainAfterExit=yes',
    `ExecStart=/bin/sh -c "echo ${readyMarker} >/dev/ttyS0"`,
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n'),
};

/** Modules that the first stage of the boot loads to reach the root disk. */
const bootModules = ['virtio_pci', 'virtio_blk', 'ext4'];

/**
 * First stage: a few modules, then the real root. Debian's own initramfs brings up udev a first time, which costs
 * more than ten seconds in an emulated machine.
 */
const initScript = `#!/bin/busybox sh
busybox=/bin/busybox
$busybox mount -t devtmpfs dev /dev
for module in /modules/*.ko; do $busybox insmod "$module"; done
while [ ! -b /dev/vda ]; do $busybox usleep 20000; done
$busybox mount -t ext4 -o rw,noatime /dev/vda /root || exec $busybox sh
$busybox mount --move /dev /root/dev
exec $busybox switch_root /root /sbin/init
`;

/**
 * Script that finishes a root directory from outside it, as mmdebstrap's last hook.
 * Arguments: the root directory, a directory with the files to add, the directory that receives disk, kernel, initrd.
 */
export const customizeScript = `set -eu
root=$1 files=$2 out=$3
cp -R "$files/." "$root/"
chmod 700 "$root/root" "$root/root/.ssh"
chmod 600 "$root/root/.ssh/authorized_keys"
for unit in ${maskedUnits.join(' ')}; do ln -sfn /dev/null "$root/etc/systemd/system/$unit"; done
chroot "$root" systemctl enable ssh.service guest-network.service guest-ready.service >/dev/null 2>&1
chroot "$root" systemctl set-default multi-user.target >/dev/null 2>&1
mkdir -p "$root/opt/tierd" "$root/var/log/journal"
rmdir "$root/var/log/journal"
rm -rf "$root"/var/cache/apt "$root"/var/lib/apt/lists/* "$root"/etc/apt/sources.list* "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale
mkdir -p "$root/etc/apt/sources.list.d" "$root/var/cache/apt/archives/partial" "$root/var/lib/apt/lists/partial"

release=$(ls "$root/lib/modules")
depmod=$(chroot "$root" sh -c 'command -v depmod')
chroot "$root" "$depmod" "$release"
stage=$root/tmp/stage
mkdir -p "$stage/bin" "$stage/dev" "$stage/root" "$stage/modules"
cp "$root/usr/bin/busybox" "$stage/bin/busybox"
count=100
for module in ${bootModules.join(' ')}; do
  for path in $(chroot "$root" modprobe -S "$release" --show-depends "$module" | sed -n 's/^insmod \\([^ ]*\\).*/\\1/p'); do
    name=$(basename "$path" | sed 's/\\.ko.*/.ko/')
    if ls "$stage/modules" | grep -q -- "^[0-9]*-$name$"; then continue; fi
    case $path in
      *.xz) chroot "$root" xz -dc "$path" >"$stage/modules/$count-$name" ;;
      *) cp "$root/$path" "$stage/modules/$count-$name" ;;
    esac
    count=$((count + 1))
  done
done
cat >"$stage/init" <<'INIT'
${initScript}INIT
chmod 755 "$stage/init"
chroot "$root" sh -c 'cd /tmp/stage && find . | cpio --quiet -o -H newc' >"$out/initrd"
cp "$root/boot/vmlinuz-$release" "$out/vmlinuz"
rm -rf "$stage" "$root"/boot/*
printf '%s\\n' "$release" >"$out/release"
# Everything under /usr and /etc is as the image made it: no first-boot work.
touch "$root/etc/.updated" "$root/var/.updated"

# A bind mount shows the directory without what is mounted inside it (/proc, /sys, /dev).
plain=$(mktemp -d)
mount --bind "$root" "$plain"
truncate -s 3G "$out/disk.img"
mke2fs -q -t ext4 -m 0 -L guest -E lazy_itable_init=0,lazy_journal_init=0,nodiscard -J size=16 -d "$plain" "$out/disk.img"
umount "$plain"
rmdir "$plain"
chmod 644 "$out"/*
`;
