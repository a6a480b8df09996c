//! Completion scripts and man pages, from the tree of commands.

use crate::command::Invocation;
use crate::failure::{Failure, io_text};
use crate::{output, tree};
use clap_complete::{Shell, generate};
use std::path::Path;

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let shell = match invocation.args[0].as_str() {
        "bash" => Shell::Bash,
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        other => {
            return Err(Failure::Plain(format!(
                "no completion for the shell {other}: it must be bash, zsh or fish"
            )));
        }
    };
    let program = invocation.session.program;
    let mut script = Vec::new();
    generate(shell, &mut tree::whole(program), program, &mut script);
    Ok(output::bytes(&script)?)
}

pub(crate) async fn man(invocation: Invocation) -> Result<(), Failure> {
    let directory = Path::new(&invocation.args[0]);
    let failed = |error: std::io::Error| {
        Failure::Plain(format!(
            "write the man pages into {}: {}",
            directory.display(),
            io_text(&error)
        ))
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(tree::whole(invocation.session.program), directory).map_err(failed)
}
