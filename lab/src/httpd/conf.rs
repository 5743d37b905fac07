//! What of Apache's `ssl.conf` matters here: the lecture changes four lines of it.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};

/// The configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conf {
    /// What HTTPS needs, if there is to be HTTPS.
    pub(super) tls: Option<Tls>,
}

/// A certificate and its key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

const FILE: &str = "/etc/httpd/conf.d/ssl.conf";

/// What is taken and does not change anything here.
const IGNORED: [&str; 7] = [
    "listen",
    "<virtualhost",
    "</virtualhost>",
    "sslengine",
    "documentroot",
    "servername",
    "sslsessioncache",
];

impl Conf {
    /// The machine's.
    ///
    /// # Errors
    /// It has a line that httpd does not know, or names a file that cannot be read.
    pub(super) fn read() -> anyhow::Result<Self> {
        let text = match fs::read_to_string(FILE) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self { tls: None }),
            Err(error) => return Err(error).with_context(|| format!("cannot read {FILE}")),
        };
        let conf = Self::parse(&text)?;
        for path in conf.tls.iter().flat_map(|tls| [&tls.cert, &tls.key]) {
            ensure!(path.is_file(), "{FILE}: there is no file {}; copy it to this machine", path.display());
        }
        Ok(conf)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let (mut cert, mut key) = (None, None);
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let (word, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let value = value.trim().trim_matches('"');
            match word.to_ascii_lowercase().as_str() {
                "sslcertificatefile" => cert = Some(PathBuf::from(value)),
                "sslcertificatekeyfile" => key = Some(PathBuf::from(value)),
                other if other.is_empty() || IGNORED.contains(&other) => {}
                _ => bail!(
                    "syntax error on line {} of {FILE}: invalid command {word:?}; the lab's httpd knows \
                     SSLCertificateFile, SSLCertificateKeyFile, ServerName and DocumentRoot",
                    number + 1
                ),
            }
        }
        match (cert, key) {
            (Some(cert), Some(key)) => Ok(Self { tls: Some(Tls { cert, key }) }),
            (None, None) => Ok(Self { tls: None }),
            _ => bail!("{FILE}: a certificate goes with its key: SSLCertificateFile and SSLCertificateKeyFile"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lectures_lines_are_understood_and_others_are_named() {
        let text = "# mod_ssl\nDocumentRoot \"/var/www/html\"\nServerName www.ilinux.io\n\
                    SSLCertificateFile /etc/httpd/conf.d/httpd.crt\nSSLCertificateKeyFile /x/httpd.key # ours\n";
        let tls = Tls { cert: "/etc/httpd/conf.d/httpd.crt".into(), key: "/x/httpd.key".into() };
        assert_eq!(Conf::parse(text).unwrap(), Conf { tls: Some(tls) });
        assert_eq!(Conf::parse("Listen 443 https\n").unwrap(), Conf { tls: None });
        let error = Conf::parse("\nSSLCertifikateFile x\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("\"SSLCertifikateFile\""), "{error}");
        assert!(Conf::parse("SSLCertificateFile x\n").unwrap_err().to_string().contains("with its key"));
    }
}
