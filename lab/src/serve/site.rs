//! The pages that tell of a server and of whom it sees, and what a person can make of them.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The pages of a server.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// What the server is called.
    pub(crate) name: String,
    /// Where the lab's people change something: with a file `broken` there every page is an error, and `html/test1.html`
    /// there is that page.
    pub(crate) root: Option<PathBuf>,
}

impl Site {
    /// The status and the body of a page; `None` if it is none of these.
    pub(crate) fn page(&self, path: &str, peer: SocketAddr) -> Option<(&'static str, String)> {
        if self.root.as_ref().is_some_and(|root| root.join("broken").is_file()) {
            return Some((
                "500 Internal Server Error",
                "the program behind this page has crashed\n".to_owned(),
            ));
        }
        let body = match path {
            "/test1.html" => self.test_page(),
            "/" => format!("{}\n", self.name),
            "/whoami" => format!("{peer}\n"),
            _ => return None,
        };
        Some(("200 OK", body))
    }

    fn test_page(&self) -> String {
        let own = self.root.as_ref().and_then(|root| fs::read_to_string(root.join("html/test1.html")).ok());
        own.unwrap_or_else(|| format!("{}\n", self.name))
    }
}
