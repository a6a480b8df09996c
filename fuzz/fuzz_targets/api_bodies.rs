//! Bodies and filters that clients send.
#![no_main]

use api_types::{container, exec, host, network, volume};
use libfuzzer_sys::fuzz_target;

macro_rules! body {
    ($bytes:expr, $($kind:ty),*) => {$(
        if let Ok(value) = serde_json::from_slice::<$kind>($bytes) {
            serde_json::to_vec(&value).expect("what was read can be written");
        }
    )*};
}

fuzz_target!(|bytes: &[u8]| {
    body!(bytes, container::CreateBody, container::UpdateBody, host::HostConfig, exec::CreateBody);
    body!(bytes, exec::StartBody, network::CreateBody, network::ConnectBody, volume::CreateBody);
    if let Ok(text) = std::str::from_utf8(bytes) {
        engine::filter::instant(text, 0);
    }
});
