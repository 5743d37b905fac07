//! TUN, netlink, namespaces: everything that touches the kernel.
