//! A configuration file, of whichever program: the one place that knows which one it is.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::foreign::{Foreign, Notes, keepalived, ldirectord};

/// For whom the file was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Us: `ulvs.toml`.
    Ulvs,
    /// keepalived.
    Keepalived {
        /// What its conditional lines are compared with.
        id: String,
    },
    /// ldirectord.
    Ldirectord,
}

/// Where the configuration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    path: PathBuf,
    kind: Kind,
}

/// A configuration, and what there is to say about the file that it comes from.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Nothing for a file of our own: that is understood or wrong.
    pub notes: Notes,
}

impl Source {
    /// A file of this kind.
    pub const fn new(path: PathBuf, kind: Kind) -> Self {
        Self { path, kind }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The option that names such a file on a command line.
    pub const fn option(&self) -> &'static str {
        match self.kind {
            Kind::Ulvs => "--config",
            Kind::Keepalived { .. } => "--keepalived",
            Kind::Ldirectord => "--ldirectord",
        }
    }

    /// The same, wherever the process stands.
    ///
    /// # Errors
    /// When nobody knows where that is.
    pub fn absolute(self) -> std::io::Result<Self> {
        Ok(Self { path: std::path::absolute(&self.path)?, ..self })
    }

    /// Reads it.
    ///
    /// # Errors
    /// All that is wrong with it, with places and ways out, as it is to be printed.
    pub fn load(&self) -> Result<Loaded, String> {
        let foreign = match &self.kind {
            Kind::Ulvs => {
                let config = Config::load(&self.path).map_err(|error| error.to_string())?;
                return Ok(Loaded { config, notes: Notes::default() });
            }
            Kind::Keepalived { id } => keepalived::load(&self.path, id),
            Kind::Ldirectord => ldirectord::load(&self.path),
        };
        let foreign = foreign.map_err(|error| format!("cannot read {}: {error}", self.path.display()))?;
        let Foreign { services, timeouts, notes } = foreign;
        if notes.has_errors() {
            return Err(notes.to_string());
        }
        Ok(Loaded { config: Config::of(services, timeouts), notes })
    }

    /// What there is to say about the file, in a line.
    pub fn summary(&self, notes: &Notes) -> Option<String> {
        let path = self.path.display();
        let (option, counts) = (self.option(), notes.counts());
        let lists = format!("`ulvs check {option} {path}` lists them");
        (!notes.is_empty()).then(|| format!("{path} is not taken as it is: {counts}; {lists}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_file_becomes_a_configuration() {
        let dir = std::env::temp_dir().join(format!("ulvs-source-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let service = "[[service]]\nvip = \"10.0.0.1\"\nports = [\"tcp/80\"]\n";
        let keepalived =
            "virtual_server 10.0.0.1 80 {\nprotocol TCP\n@me bogus\nreal_server 10.1.0.1 80 { }\n}\n";
        let ldirectord =
            "quiescent = no\nvirtual = 10.0.0.1:80\n\tchecktype = on\n\treal = 10.1.0.1:80 masq\n";
        let kinds = [
            (Kind::Ulvs, service, "--config", ""),
            (Kind::Keepalived { id: "me".to_owned() }, keepalived, "--keepalived", "1 not understood"),
            (Kind::Keepalived { id: "you".to_owned() }, keepalived, "--keepalived", ""),
            (Kind::Ldirectord, ldirectord, "--ldirectord", ""),
        ];
        for (kind, text, option, counts) in kinds {
            let path = dir.join("file");
            std::fs::write(&path, text).unwrap();
            let source = Source::new(path.clone(), kind);
            let loaded = source.load().unwrap();
            assert_eq!(loaded.config.services()[0].key, "tcp/10.0.0.1:80".parse().unwrap());
            assert_eq!((source.option(), loaded.notes.counts().as_str()), (option, counts));
            let expected = (!counts.is_empty()).then(|| {
                let path = path.display();
                format!("{path} is not taken as it is: {counts}; `ulvs check {option} {path}` lists them")
            });
            assert_eq!(source.summary(&loaded.notes), expected);
        }
        std::fs::write(dir.join("file"), "virtual_server x { }\n").unwrap();
        let bad = Source::new(dir.join("file"), Kind::Keepalived { id: String::new() }).load().unwrap_err();
        assert!(bad.contains("file:1:16: `x` is not an IP address"), "{bad}");
        let missing = Source::new(dir.join("none"), Kind::Ldirectord).load().unwrap_err();
        assert!(missing.starts_with("cannot read "), "{missing}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
