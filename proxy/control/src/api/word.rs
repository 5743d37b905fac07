//! A service as command lines name it, `tcp/10.0.0.1:80`, in what scripts read.

use sched::ServiceKey;
use serde::{Deserialize, Deserializer, Serializer, de};

pub(crate) fn serialize<S: Serializer>(key: &ServiceKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&key.word())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ServiceKey, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}
