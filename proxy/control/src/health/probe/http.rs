//! Pages, by HTTP/1.x (RFC 9112) or HTTPS: each by a connection of its own, one after the other, all within the timeout.
//!
//! Redirections are not followed: they are a status like any other, and not among those that are right unless it is said
//! so. Of a body the first MiB is looked at; an MD5 is of all of it, up to 64 MiB. A body that ends before it should is a
//! failure, whatever is expected of it. Chunks are put together before anybody looks.
//!
//! A client of our own rather than a library's: a request of HTTP/1.0 that says so, no more of an answer in memory than is
//! looked at, and errors that say what the server did.

mod answer;
mod page;

use std::sync::Arc;

use sched::{HttpCheck, HttpVersion};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::asking::{Asking, First};
use super::{Tools, host, tls, words};
use answer::Answer;
use page::Page;

#[derive(Debug)]
pub(super) struct Ready {
    pages: Vec<Page>,
    version: HttpVersion,
    tls: Option<tls::Ready>,
}

/// What is wrong with it whatever the server says.
pub(super) fn check(check: &HttpCheck) -> Result<(), String> {
    pages(check)?;
    check.tls.as_ref().map_or(Ok(()), tls::check)
}

fn pages(check: &HttpCheck) -> Result<Vec<Page>, String> {
    let root = [sched::HttpUrl::new("/")];
    let urls = if check.urls.is_empty() { root.as_slice() } else { &check.urls };
    urls.iter().map(Page::new).collect()
}

impl Ready {
    pub(super) fn new(check: &HttpCheck, tools: &Arc<Tools>) -> Result<Self, String> {
        let tls = check.tls.as_ref().map(|tls| tls::Ready::new(tls, tls::Protocol::Any, tools));
        Ok(Self { pages: pages(check)?, version: check.version, tls: tls.transpose()? })
    }

    pub(super) async fn ask(&self, asking: &Asking<'_>) -> Result<(), String> {
        for page in &self.pages {
            let named = |why| if self.pages.len() > 1 { format!("{}: {why}", page.path) } else { why };
            asking.restart();
            self.page(asking, page).await.map_err(named)?;
        }
        Ok(())
    }

    async fn page(&self, asking: &Asking<'_>, page: &Page) -> Result<(), String> {
        let stream = asking.stream(First::We).await?;
        match &self.tls {
            None => self.exchange(asking, page, stream).await,
            Some(tls) => self.exchange(asking, page, tls.shake(asking, stream).await?).await,
        }
    }

    async fn exchange<S>(&self, asking: &Asking<'_>, page: &Page, mut stream: S) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let request = self.request(asking, page);
        let sent = async {
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await
        };
        sent.await.map_err(|e| words::io(&e))?;
        let mut answer = Answer::new(stream, asking);
        let head = answer.head().await?;
        page.judge_status(head.status)?;
        let mut body = page.body();
        if page.method != "HEAD" {
            answer.body(head.framing, &mut body).await?;
        }
        page.judge_body(body)
    }

    fn request(&self, asking: &Asking<'_>, page: &Page) -> String {
        let (version, close) = match self.version {
            HttpVersion::Http10 => ("1.0", ""),
            HttpVersion::Http10Close => ("1.0", "Connection: close\r\n"),
            HttpVersion::Http11 => ("1.1", "Connection: close\r\n"),
        };
        let to = asking.target.vip.unwrap_or(asking.target.server);
        let own = || format!("{}:{}", host(to.ip()), to.port());
        let host = page.host.clone().unwrap_or_else(own);
        let Page { method, path, .. } = page;
        let agent = concat!("ulvs/", env!("CARGO_PKG_VERSION"), " (health check)");
        format!("{method} {path} HTTP/{version}\r\nHost: {host}\r\nUser-Agent: {agent}\r\n{close}\r\n")
    }
}

#[cfg(test)]
mod tests;
