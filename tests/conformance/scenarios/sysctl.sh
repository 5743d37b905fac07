# Settings as the kernel has them, set and read back.
net 1
names="amemthresh am_droprate drop_entry drop_packet secure_tcp cache_bypass expire_nodest_conn
  expire_quiescent_template conn_reuse_mode sloppy_tcp sloppy_sctp nat_icmp_send pmtu_disc schedule_icmp"
for name in $names; do echo "$name $(vs $name)"; done
for name in expire_nodest_conn expire_quiescent_template sloppy_tcp sloppy_sctp nat_icmp_send schedule_icmp; do vs $name 1; echo "$name $(vs $name)"; vs $name 0; echo "$name $(vs $name)"; done
for value in 0 1 2 3; do vs drop_entry $value; vs drop_entry; vs secure_tcp $value; vs secure_tcp; done
vs conn_reuse_mode 2; vs conn_reuse_mode
vs am_droprate 20; vs am_droprate
