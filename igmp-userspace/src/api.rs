//! What igmpd and igmpctl say to each other over the control socket.
