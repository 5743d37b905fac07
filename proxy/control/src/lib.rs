//! Desired state, the API and its client.
