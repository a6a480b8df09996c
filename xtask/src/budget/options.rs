//! What the benchmark is asked to do.

use crate::budget::http::Engine;

/// The arguments, read.
#[derive(Debug)]
pub(crate) struct Options {
    /// How often each operation is done.
    pub(crate) rounds: usize,
    /// Containers that are made for the list of many.
    pub(crate) many: Option<usize>,
    /// Lines that a container writes and that are read back.
    pub(crate) lines: Option<usize>,
    /// A client program for each engine.
    pub(crate) clients: Vec<String>,
    /// A daemon whose start is timed.
    pub(crate) daemon: Option<String>,
    /// This engine, and the reference.
    pub(crate) engines: Vec<Engine>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            rounds: 15,
            many: None,
            lines: None,
            clients: Vec::new(),
            daemon: None,
            engines: Vec::new(),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut number = || {
                let number = rest.next().and_then(|text| text.parse().ok());
                number.ok_or(format!("{argument} needs a number"))
            };
            match argument.as_str() {
                "--rounds" => options.rounds = number()?,
                "--many" => options.many = Some(number()?),
                "--lines" => options.lines = Some(number()?),
                "--client" | "--daemon" => {
                    let program = rest.next().ok_or(format!("{argument} needs a program"))?.clone();
                    match argument.as_str() {
                        "--client" => options.clients.push(program),
                        _ => options.daemon = Some(program),
                    }
                }
                flag if flag.starts_with("--") => return Err(format!("unknown option {flag}")),
                socket => {
                    let socket = socket.trim_start_matches("unix://").into();
                    options.engines.push(Engine { socket });
                }
            }
        }
        if options.engines.is_empty() {
            options.engines.push(Engine { socket: "/var/run/docker.sock".into() });
        }
        match options.engines.len() {
            1 | 2 => Ok(options),
            _ => Err("at most two sockets: this engine and the reference".to_owned()),
        }
    }
}
