//! Configuration: file or flags -> validated [`Config`].
