//! `ulvs run --rules`: the table in the form of `ipvsadm-save`, read at the start and written at the end.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::ipvsadm;
use crate::daemon::Rules;

/// Reads a rules file. One that is to be saved at the end need not be there yet, but its directory must be.
pub(super) fn read(path: &Path, save: bool) -> anyhow::Result<Rules> {
    let path = std::path::absolute(path).with_context(|| path.display().to_string())?;
    if save {
        check_place(&path)?;
    }
    let text = match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if save && error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => bail!(
            "cannot read the rules {}: {error}; `ipvsadm-save -n` writes such a file, and with --save-on-stop it need \
             not be there at the start",
            path.display()
        ),
    };
    let saved = ipvsadm::saved(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    let ipvsadm::Saved { services, lips, timeouts } = saved;
    Ok(Rules { path, services, lips, timeouts, save })
}

/// What would only fail at the end, when it is too late.
fn check_place(path: &Path) -> anyhow::Result<()> {
    let dir = path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
    if !dir.is_dir() {
        bail!(
            "cannot save the rules to {} later: {} is not a directory; make it or name another file",
            path.display(),
            dir.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_or_its_bad_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules");
        let read = |save| read(&path, save).map_err(|error| error.to_string());
        assert!(read(false).unwrap_err().contains("cannot read the rules"));
        assert!(read(true).unwrap().services.is_empty());
        std::fs::write(
            &path,
            "-A -t 10.0.0.1:80 -s rr\n# comment\n-a -t 10.0.0.1:80 -r 10.1.0.1 -m\n--set 10 0 0\n",
        )
        .unwrap();
        let rules = read(false).unwrap();
        assert_eq!((rules.services.len(), rules.services[0].dests.len(), rules.timeouts.tcp), (1, 1, 10));
        for (text, expected) in [
            (
                "-A -t 10.0.0.1:80 -s rr\n-A -t 10.0.0.1:80 -s rr\n",
                "line 2: -A -t 10.0.0.1:80 -s rr: Service already exists",
            ),
            ("-A -t 10.0.0.1:80 -s\n", "line 1: -A -t 10.0.0.1:80 -s: "),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(true).unwrap_err();
            assert!(error.starts_with(&format!("{}: {expected}", path.display())), "{error}");
        }
        let nowhere = super::read(&dir.path().join("no/rules"), true).unwrap_err().to_string();
        assert!(nowhere.contains("is not a directory"), "{nowhere}");
    }
}
