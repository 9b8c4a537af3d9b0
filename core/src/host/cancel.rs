//! A cancel request that has arrived when it is said to be done.
//!
//! The signal that a request leads to hits whatever the session runs by then. So the next statement
//! must not be sent before: the server closes a request's connection when it has sent the signal
//! (`PQcancel` of libpq waits for the same).

use std::io;
use std::net::IpAddr;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::{CancelToken, NoTls};

/// Where a server listens, as libpq knows it.
#[derive(Debug, Clone)]
pub struct Address {
    /// Directory of the Unix socket, or a host name.
    pub host: String,
    pub port: u16,
}

/// Has the server at `address` cancel what the session of `token` runs. Back when the signal has
/// been sent; where the server has a name, when the request has been: the address that the session
/// has connected to is known to the token alone, and to look the name up again may take for ever.
/// Errors: no connection, or none that stays until then.
pub async fn cancel(token: &CancelToken, address: &Address) -> io::Result<()> {
    let Address { host, port } = address;
    if host.starts_with('/') {
        let path = Path::new(host).join(format!(".s.PGSQL.{port}"));
        return request(token, UnixStream::connect(path).await?).await;
    }
    match host.parse::<IpAddr>() {
        Ok(ip) => request(token, TcpStream::connect((ip, *port)).await?).await,
        Err(_) => token.cancel_query(NoTls).await.map_err(io::Error::other),
    }
}

async fn request(
    token: &CancelToken,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    token.cancel_query_raw(&mut stream, NoTls).await.map_err(io::Error::other)?;
    stream.read(&mut [0]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::poll_immediate;
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixListener;
    use tokio_postgres::Config;

    /// What a server says to a session that may begin: `AuthenticationOk`, `BackendKeyData` and
    /// `ReadyForQuery`.
    const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x07\0\0\0\x09Z\0\0\0\x05I";
    /// Length, code of a cancel request, process id and key.
    const REQUEST: [u8; 16] = *b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07\0\0\0\x09";

    #[tokio::test(flavor = "current_thread")]
    async fn a_request_is_done_when_the_server_has_closed_its_connection() {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
        let address = Address { host: directory.path().display().to_string(), port: 5432 };
        let mut config = Config::new();
        config.host(&address.host).user("postgres");
        let session =
            tokio::spawn(async move { config.connect(NoTls).await.map(|(client, _)| client) });
        let (mut backend, _) = socket.accept().await.unwrap();
        let mut startup = [0; 256];
        assert!(backend.read(&mut startup).await.unwrap() > 8);
        backend.write_all(WELCOME).await.unwrap();
        let token = session.await.unwrap().unwrap().cancel_token();

        let mut asked = Box::pin(cancel(&token, &address));
        let mut request = [0; 16];
        let mut connection = tokio::select! {
            _ = &mut asked => panic!("nobody has read the request"),
            accepted = socket.accept() => accepted.unwrap().0,
        };
        tokio::select! {
            _ = &mut asked => panic!("nobody has read the request"),
            read = connection.read_exact(&mut request) => assert_eq!(read.unwrap(), 16),
        }
        assert_eq!(request, REQUEST);
        let early = poll_immediate(&mut asked).await;
        assert!(early.is_none(), "the server has not sent the signal yet");
        drop(connection);
        asked.await.unwrap();
    }
}
