//! Frame in, verdict out.
