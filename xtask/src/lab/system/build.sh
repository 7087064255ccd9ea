# Makes a Debian system on the disk at /mnt/disk0 of the packages in /debs, as debootstrap does: unpacked
# first, so that there is a dpkg, then installed by that dpkg. Runs in a guest of the lab, with `sh -eu`.
root=/mnt/disk0

# Absolute paths: busybox would take its own dpkg for a bare name.
within() { chroot "$root" /usr/bin/env "$@"; }
install() { within /bin/sh -c "dpkg --force-depends --force-unsafe-io --install /debs/$1_*.deb"; }

export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true

# From trixie on base-files has these links itself.
if ! dpkg-deb -c /debs/base-files_*.deb | grep -q -- '-> usr/bin$'; then
    for folder in bin sbin lib lib64; do
        mkdir -p "$root/usr/$folder"
        ln -s "usr/$folder" "$root/$folder"
    done
fi
dpkg-deb -x /debs/base-files_*.deb "$root"
for deb in /debs/*.deb; do
    case $deb in */base-files_*) ;; *) dpkg-deb -x "$deb" "$root" ;; esac
done

mkdir -p "$root/debs"
mount -o bind /debs "$root/debs"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -o bind /dev "$root/dev"
# Nothing is to start before it boots.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

# What the first scripts lean on before the packages that bring it are configured.
[ -e "$root/usr/bin/awk" ] || ln -s mawk "$root/usr/bin/awk"
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
for package in base-passwd base-files dpkg libc6 perl-base mawk debconf; do
    install "$package"
done
within /bin/sh -c 'dpkg --force-depends --force-unsafe-io --unpack /debs/*.deb'
within dpkg --force-unsafe-io --configure -a
within dpkg --audit

echo lab >"$root/etc/hostname"
printf '127.0.0.1 localhost lab\n' >"$root/etc/hosts"
# Somebody who is not root.
within useradd --create-home --shell /bin/bash alice
# Nobody logs in at the console, which waits for its device as long as no udev announces it.
within systemctl mask serial-getty@.service getty@.service

rm "$root/usr/sbin/policy-rc.d"
umount "$root/dev" "$root/sys" "$root/proc" "$root/debs"
rmdir "$root/debs"
umount "$root"
