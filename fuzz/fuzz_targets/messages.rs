//! Every message between the engine's processes: what can be read is written and read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use messages::{control, network, shim, storage, task};
use transport::{decode, encode};

macro_rules! round_trip {
    ($bytes:expr, $($kind:ty),*) => {$(
        if let Ok(value) = decode::<$kind>($bytes) {
            let again = encode(&value).expect("what was read can be written");
            let again = decode::<$kind>(&again).expect("what was written can be read");
            assert_eq!(format!("{value:?}"), format!("{again:?}"));
        }
    )*};
}

fuzz_target!(|bytes: &[u8]| {
    round_trip!(bytes, storage::Request, storage::Reply, network::Request, network::Reply);
    round_trip!(bytes, task::Request, task::Reply, shim::Request, shim::Event, control::Control);
    round_trip!(bytes, spec::Failure);
});
