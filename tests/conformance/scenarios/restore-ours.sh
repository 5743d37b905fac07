# What ulvs saves, any ipvsadm restores: the fixture is such a save, with the thresholds and timeouts that others lose.
net 1
ipvsadm -R < fixtures/restore-ours.txt
ipvsadm -Ln
ipvsadm -Ln --thresholds
ipvsadm -Ln --tun-info
ipvsadm -L --timeout
ipvsadm -Sn
