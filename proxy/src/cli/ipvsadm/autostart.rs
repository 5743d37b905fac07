//! An engine for whoever only calls `ipvsadm`, as the kernel's loads its module by itself: where the environment asks for
//! that, the first command that needs one starts it. It ends with its network namespace.

use std::ffi::OsString;

use control::api::{Blocking, ClientError};
use netio::process::spawn_detached_as;

/// Asks for it, with the value 1.
const VARIABLE: &str = "ULVS_AUTOSTART";

/// A connection to the engine of this network namespace, which may have to be started for that.
pub(super) fn connect() -> Result<Blocking, ClientError> {
    match Blocking::connect() {
        Err(ClientError::NoEngine) if std::env::var_os(VARIABLE).is_some_and(|value| value == "1") => {
            let started =
                spawn_detached_as(Some(OsString::from("ulvs")), ["run", "--detach", "--while-used"]);
            // Somebody else may have been quicker.
            Blocking::connect().map_err(|error| match (error, started) {
                (ClientError::NoEngine, Err(why)) => {
                    ClientError::Failed(format!("{VARIABLE}=1, but no engine could be started: {why}"))
                }
                (error, _) => error,
            })
        }
        result => result,
    }
}
