//! What of Apache's configuration matters here: the lecture changes four lines of `ssl.conf`, and a port is added by
//! `Listen`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};

/// The configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conf {
    /// Ports with plain HTTP: 80, and more.
    pub(super) ports: Vec<u16>,
    /// What HTTPS needs, if there is to be HTTPS.
    pub(super) tls: Option<Tls>,
}

/// A certificate and its key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

const DIR: &str = "/etc/httpd/conf.d";

/// What is taken and does not change anything here.
const IGNORED: [&str; 6] =
    ["<virtualhost", "</virtualhost>", "sslengine", "documentroot", "servername", "sslsessioncache"];

impl Conf {
    /// The machine's.
    ///
    /// # Errors
    /// It has a line that httpd does not know, or names a file that cannot be read.
    pub(super) fn read() -> anyhow::Result<Self> {
        let entries = fs::read_dir(DIR).with_context(|| format!("cannot read {DIR}"))?;
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        files.sort();
        let mut conf = Self { ports: vec![80], tls: None };
        for file in files {
            let text =
                fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            conf.take(&text, &file.display().to_string())?;
        }
        for path in conf.tls.iter().flat_map(|tls| [&tls.cert, &tls.key]) {
            ensure!(
                path.is_file(),
                "there is no file {}, which {DIR} names; copy it to this machine",
                path.display()
            );
        }
        Ok(conf)
    }

    fn take(&mut self, text: &str, file: &str) -> anyhow::Result<()> {
        let (mut cert, mut key) = (None, None);
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let (word, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let value = value.trim().trim_matches('"');
            match word.to_ascii_lowercase().as_str() {
                "sslcertificatefile" => cert = Some(PathBuf::from(value)),
                "sslcertificatekeyfile" => key = Some(PathBuf::from(value)),
                // `Listen 443 https` is how ssl.conf comes: that port is the certificate's affair.
                "listen" if value.split(' ').nth(1) == Some("https") => {}
                "listen" => {
                    let port = value.parse();
                    self.ports.push(
                        port.with_context(|| format!("{file}, line {}: Listen takes a port", number + 1))?,
                    );
                }
                other if other.is_empty() || IGNORED.contains(&other) => {}
                _ => bail!(
                    "syntax error on line {} of {file}: invalid command {word:?}; the lab's httpd knows Listen, \
                     SSLCertificateFile, SSLCertificateKeyFile, ServerName and DocumentRoot",
                    number + 1
                ),
            }
        }
        match (cert, key) {
            (Some(cert), Some(key)) => self.tls = Some(Tls { cert, key }),
            (None, None) => {}
            _ => {
                bail!("{file}: a certificate goes with its key: SSLCertificateFile and SSLCertificateKeyFile")
            }
        }
        self.ports.sort_unstable();
        self.ports.dedup();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Conf> {
        let mut conf = Conf { ports: vec![80], tls: None };
        conf.take(text, "ssl.conf")?;
        Ok(conf)
    }

    #[test]
    fn the_lectures_lines_are_understood_and_others_are_named() {
        let text = "# mod_ssl\nDocumentRoot \"/var/www/html\"\nServerName www.ilinux.io\n\
                    SSLCertificateFile /etc/httpd/conf.d/httpd.crt\nSSLCertificateKeyFile /x/httpd.key # ours\n";
        let tls = Tls { cert: "/etc/httpd/conf.d/httpd.crt".into(), key: "/x/httpd.key".into() };
        assert_eq!(parse(text).unwrap(), Conf { ports: vec![80], tls: Some(tls) });
        assert_eq!(
            parse("Listen 443 https\nListen 8080\n").unwrap(),
            Conf { ports: vec![80, 8080], tls: None }
        );
        let error = parse("\nSSLCertifikateFile x\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("\"SSLCertifikateFile\""), "{error}");
        assert!(parse("SSLCertificateFile x\n").unwrap_err().to_string().contains("with its key"));
    }
}
