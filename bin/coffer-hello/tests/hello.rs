//! The greeting as a program.

use std::process::{Command, Stdio};

#[test]
fn it_greets_and_ends_well() {
    let output = Command::new(env!("CARGO_BIN_EXE_coffer-hello")).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("Hello from Coffer!"));
}

#[test]
fn a_full_output_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_coffer-hello"))
        .stdout(Stdio::from(full))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}
