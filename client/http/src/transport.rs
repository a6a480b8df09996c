//! A connection to the engine, whatever carries it.

use crate::{Address, ClientError, Endpoint, ssh};
use std::fmt;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Bytes both ways. Shutting down the writing side tells the engine that no more input comes.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug> Transport for T {}

/// Dials the endpoint.
pub(crate) async fn connect(endpoint: &Endpoint) -> Result<Box<dyn Transport>, ClientError> {
    let failed = |source: io::Error| ClientError::Connect { host: endpoint.text.clone(), source };
    match &endpoint.address {
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(failed)?)),
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            match &endpoint.tls {
                None => Ok(Box::new(stream)),
                #[cfg(feature = "tls")]
                Some(files) => crate::tls::handshake(stream, address, files, &endpoint.text).await,
                #[cfg(not(feature = "tls"))]
                Some(_) => Err(failed(io::Error::other("this program was built without TLS"))),
            }
        }
        Address::Ssh { user, host, port, path } => {
            let stdio = ssh::dial(user.as_deref(), host, *port, path.as_deref()).map_err(failed)?;
            Ok(Box::new(stdio))
        }
    }
}
