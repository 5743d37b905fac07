# Persistence by the Call-ID of SIP.
net 3 5060
ipvsadm -A -u $VIP:5060 -s rr -p 100 --pe sip
SERVICE="-u $VIP:5060" RPORT=5060
add 1; add 2; add 3
call() { udp "$1" $VIP:5060 "INVITE%20sip:a@b%20SIP/2.0%0d%0aCall-ID:%20$2%0d%0aFrom:%20x%0d%0a%0d%0a"; }
call $C one; call 10.77.1.3 one; call $C two; call 10.77.1.4 two; call 10.77.1.4 three; call $C:5061 one; call $C:5061 two
udp $C $VIP:5060 nothing
udp $C $VIP:5060 nothing
ipvsadm -Lnc --persistent-conn | tail -n +3 | sed 's/ [0-9:]* \+/ /' | LC_ALL=C sort
ipvsadm -Ln
ipvsadm -Sn
ipvsadm -Ln --persistent-conn
