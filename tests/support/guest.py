"""A guest's end of a TAP device: once it is told to, it sends the VIP that is given a super-packet of UDP fragments (UFO)."""
import fcntl, ipaddress, os, signal, struct, subprocess, sys

TUNSETIFF, TAP, NO_PI, VNET_HDR = 0x400454CA, 0x0002, 0x1000, 0x4000
NEEDS_CSUM, UFO = 1, 3

tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", b"guest0", TAP | NO_PI | VNET_HDR))
subprocess.check_call("ip link set guest0 address 02:00:00:00:00:99 && ip addr add 198.18.99.1/24 dev guest0"
                      " && ip link set guest0 up", shell=True)
sys.stdin.readline()
data = bytes(3000)
vip, own = (int(ipaddress.IPv4Address(address)) for address in (sys.argv[1], "198.18.99.2"))
udp = struct.pack("!HHHH", 4000, 4000, 8 + len(data), 0) + data
ip = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(udp), 1, 0x4000, 64, 17, 0, own, vip)
link = bytes.fromhex("020000000099020000000001") + struct.pack("!H", 0x0800)
os.write(tap, struct.pack("<BBHHHH", NEEDS_CSUM, UFO, 42, 1000, 34, 6) + link + ip + udp)
signal.pause()
