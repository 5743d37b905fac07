//! The rules file: the table as `ipvsadm-save` writes it, so that it outlives the engine.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use control::api::Timeouts;
use control::config::Config;
use control::save::{self, Numeric};
use sched::ServiceSpec;

/// A rules file as it was read, and whether it is to be written at the end.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) path: PathBuf,
    pub(crate) services: Vec<ServiceSpec>,
    /// The local addresses that are everybody's.
    pub(crate) lips: Vec<IpAddr>,
    /// Those that are 0 are not in it.
    pub(crate) timeouts: Timeouts,
    pub(crate) save: bool,
}

impl Rules {
    /// Services are in one place, or nobody could tell after a restart which of two is meant.
    pub(crate) fn check_beside(&self, path: &Path, config: &Config) -> Result<(), String> {
        if config.services().is_empty() && config.lips().is_empty() {
            return Ok(());
        }
        Err(format!(
            "{} has services or local addresses, and with --rules they are in {}: keep them in one of the two",
            path.display(),
            self.path.display()
        ))
    }
}

/// Writes the file anew: either all of it is there afterwards, or what was there before. Its mode and owner stay; a
/// symbolic link stays one.
pub(super) fn write(
    path: &Path,
    services: &[ServiceSpec],
    lips: &[IpAddr],
    timeouts: Timeouts,
) -> std::io::Result<()> {
    let mut text = String::new();
    save::write(&mut text, services, lips, timeouts, &Numeric).map_err(std::io::Error::other)?;
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let written = (|| {
        let mut file = std::fs::File::create(&new)?;
        if let Ok(old) = std::fs::metadata(&path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)
    })();
    if written.is_err() {
        // Only what could not be finished; the error has been kept.
        let _ = std::fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use sched::{Proto, ServiceKey};

    use super::*;

    #[test]
    fn the_file_is_replaced_whole_and_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("rules"), dir.path().join("link"));
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&path, &link).unwrap();
        let service = ServiceSpec::new(ServiceKey::addr(Proto::Tcp, "10.0.0.1:80".parse().unwrap()), "rr");
        write(&link, &[service], &[], Timeouts { udp: 7, ..Timeouts::default() }).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "-A -t 10.0.0.1:80 -s rr\n--set 900 120 7\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left over");
    }

    #[test]
    fn services_are_in_one_place() {
        let path = PathBuf::from("/etc/rules");
        let rules =
            Rules { path, services: Vec::new(), lips: Vec::new(), timeouts: Timeouts::KEEP, save: true };
        let check = |text| rules.check_beside(Path::new("ulvs.toml"), &Config::parse("x", text).unwrap());
        assert_eq!(check("compat = \"ipvs\""), Ok(()));
        assert_eq!(
            check("[[service]]\nmark = 3").unwrap_err(),
            "ulvs.toml has services or local addresses, and with --rules they are in /etc/rules: keep them in one of the two"
        );
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules");
        std::fs::create_dir(dir.path().join("rules.new")).unwrap();
        std::fs::write(&path, "old").unwrap();
        write(&path, &[], &[], Timeouts::default()).unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    }
}
