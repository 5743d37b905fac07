//! The `/etc` of a lab's machine: links to the real machine's files, which cannot be written to, and a few directories
//! of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use netio::netns::Bind;

/// Directories that are each machine's own, as CentOS has them.
const OWN: [&str; 5] = ["pki/CA/private", "pki/CA/newcerts", "pki/tls", "httpd/conf.d", "sysconfig"];

/// Files that people write when they practise. What the real machine has of them is not a lab's business.
const THEIRS: [&str; 2] = ["ipvsadm.rules", "ulvs.toml"];

/// Shows the real machine's `/etc` in the lab's directory, where it stays when machines have theirs in front of it.
pub(super) fn preserve(dir: &Path) -> anyhow::Result<PathBuf> {
    let place = dir.join("etc");
    fs::create_dir(&place)?;
    let bind = Bind { from: "/etc".into(), to: place.clone() };
    bind.mount_read_only().context("cannot show /etc to the lab's machines")?;
    Ok(place)
}

/// Makes a machine's.
pub(super) fn furnish(of_machine: &Path, to: &Path, name: &str, hosts: &str) -> anyhow::Result<()> {
    links(of_machine, to, &OWN).with_context(|| format!("cannot make {}", to.display()))?;
    for file in THEIRS {
        let _ = fs::remove_file(to.join(file));
    }
    for (file, text) in [("hosts", hosts), ("hostname", &format!("{name}\n"))] {
        let path = to.join(file);
        // A link, if the real machine has one.
        let _ = fs::remove_file(&path);
        super::write(&path, text)?;
    }
    Ok(())
}

/// Links to everything in `from`; directories on the way to what is the machine's own are made.
fn links(from: &Path, to: &Path, own: &[&str]) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    let first = |path: &&str| path.split('/').next().unwrap_or_default().to_owned();
    // The real machine may lack the directory, or keep it from us.
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !own.iter().any(|path| name == *first(path)) {
            symlink(entry.path(), to.join(&name))?;
        }
    }
    let mut names: Vec<_> = own.iter().map(first).filter(|name| !name.is_empty()).collect();
    names.dedup();
    for name in names {
        let below = own.iter().filter_map(|path| path.strip_prefix(name.as_str()));
        let below: Vec<_> = below.map(|path| path.trim_start_matches('/')).collect();
        links(&from.join(&name), &to.join(&name), &below)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_sees_what_is_there_and_has_what_is_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (real, machine) = (dir.path().join("real"), dir.path().join("machine"));
        fs::create_dir_all(real.join("pki/certs")).unwrap();
        fs::create_dir_all(real.join("nginx")).unwrap();
        fs::write(real.join("hosts"), "real").unwrap();
        fs::write(real.join("ipvsadm.rules"), "-A -t 10.0.0.1:80").unwrap();
        fs::write(real.join("pki/certs/all"), "certificates").unwrap();
        furnish(&real, &machine, "rs1", "172.16.0.7 rs1\n").unwrap();
        assert_eq!(fs::read_to_string(machine.join("pki/certs/all")).unwrap(), "certificates");
        assert!(machine.join("nginx").is_symlink());
        assert!(machine.join("pki/CA/private").is_dir() && !machine.join("pki/CA").is_symlink());
        assert_eq!(fs::read_to_string(machine.join("hostname")).unwrap(), "rs1\n");
        assert!(!machine.join("ipvsadm.rules").is_symlink());
        fs::write(machine.join("hosts"), "changed").unwrap();
        assert_eq!(fs::read_to_string(real.join("hosts")).unwrap(), "real");
    }
}
