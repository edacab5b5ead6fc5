//! A FastCGI request, as to php-fpm's ping page: a status below 400 passes.

mod answer;
mod records;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::ready;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use self::answer::{Bad, Parser};
use super::{Context, connect};
use crate::domain::plan::FastCgiAddress;

/// Read at once.
const READ: usize = 8 * 1024;

/// Why the request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("status {status}{said}")]
    Status { status: u16, said: String },
    #[error(transparent)]
    Bad(#[from] Bad),
    #[error(transparent)]
    Connect(#[from] connect::Error),
    #[error("{}", connect::words(.0))]
    Io(#[from] io::Error),
}

/// Asks for a page.
pub(super) async fn ask(
    cx: &Context,
    address: &FastCgiAddress,
    path: &str,
    query: &str,
) -> Result<(), Error> {
    let request = records::request(path, query);
    let parser = match address {
        FastCgiAddress::Tcp { host, port } => {
            exchange(connect::tcp(cx, host, *port).await?, &request).await
        }
        FastCgiAddress::Unix(path) => exchange(connect::unix(cx, path).await?, &request).await,
    }?;
    match parser.status()? {
        status if status < 400 => Ok(()),
        status => {
            let said = parser.said();
            let said = if said.is_empty() {
                said
            } else {
                format!(": {said}")
            };
            Err(Error::Status { status, said })
        }
    }
}

/// Sends the request and reads until the answer is complete, or enough of it.
async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
) -> Result<Parser, Error> {
    stream.write_all(request).await?;
    let mut parser = Parser::default();
    while !poll_fn(|cx| {
        // On the stack of the thread: a request that waits has no buffer.
        let mut space = [0; READ];
        let mut buffer = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut stream).poll_read(cx, &mut buffer))?;
        let read = buffer.filled();
        if read.is_empty() {
            return Err(parser.cut().into()).into();
        }
        std::task::Poll::Ready(parser.feed(read).map_err(Error::from))
    })
    .await?
    {}
    Ok(parser)
}

#[cfg(test)]
mod tests;
